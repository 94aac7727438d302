//! A machine as it is asked for: what flags say of it, what of that makes no sense, and where its memory lies.
//!
//! It is pure: it knows no host, no guest and no file, and builds for wasm. What a machine is made of has it from here, and so
//! has the lab, which says where memory will be of a machine that there is none of.
//!
//! | module | what it is |
//! |---|---|
//! | [`flags`] | the values of flags, from text |
//! | [`spec`] | one machine as plain data, and whether it makes sense |
//! | [`layout`] | where its memory lies |
//! | [`memory_map`] | what its firmware says of that |
//! | [`dimm`], [`placement`] | ACPI memory devices, and where in their window they go |
//! | [`room`] | what there is room for in a place for a virtio-mem device |
//! | [`fault`] | what is to go wrong |
//! | [`memory`] | a memory device to those who look at it |
//! | [`units`] | numbers of bytes |

pub mod dimm;
pub mod fault;
pub mod flags;
pub mod layout;
pub mod memory;
pub mod memory_map;
pub mod placement;
pub mod room;
pub mod spec;
pub mod units;
