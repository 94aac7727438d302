//! What holds the vCPUs, with real threads and in all orders. Tests of the other files are in them.

mod gate;
mod models;
