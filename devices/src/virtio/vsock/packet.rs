//! Packets of virtual sockets (virtio 1.2, section 5.10.6).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::memory_map::MemoryMap;
use crate::virtio::chain::Chain;

/// Bytes of a packet's header.
pub const HEADER: usize = size_of::<Header>();
/// Most bytes of data in a packet; Linux sends no more either (`VIRTIO_VSOCK_MAX_PKT_BUF_SIZE`).
pub const LONGEST: usize = 64 << 10;
/// The context ID of the host.
pub const HOST: u64 = 2;
/// The lowest context ID that a guest may have.
pub const FIRST_GUEST: u32 = 3;
/// The only kind of socket here: a stream of bytes.
pub const STREAM: u16 = 1;

/// A flag of [`Op::Shutdown`]: who sends it receives no more.
pub const NO_MORE_RECEIVED: u32 = 1;
/// Another one: who sends it sends no more.
pub const NO_MORE_SENT: u32 = 2;

/// What stands before the data.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// Context ID of whoever sends it.
    pub source: U64,
    /// Context ID of whoever it is for.
    pub destination: U64,
    /// The sender's port.
    pub source_port: U32,
    /// The receiver's port.
    pub destination_port: U32,
    /// Bytes of data.
    pub length: U32,
    /// The kind of socket.
    pub kind: U16,
    /// What it is about: a number of [`Op`].
    pub op: U16,
    /// What the operation's flags are.
    pub flags: U32,
    /// Bytes that the sender has room for, in all.
    pub room: U32,
    /// Bytes, modulo 2^32, that the sender has taken out of that room.
    pub taken: U32,
}

/// What a packet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// A connection is asked for.
    Request = 1,
    /// It is there.
    Response = 2,
    /// It is gone, or there is none.
    Reset = 3,
    /// One of its directions ends.
    Shutdown = 4,
    /// Data.
    Data = 5,
    /// There is more room.
    CreditUpdate = 6,
    /// How much room is there?
    CreditRequest = 7,
}

impl Op {
    /// The operation of that number.
    pub fn of(number: u16) -> Option<Self> {
        let all = [
            Self::Request,
            Self::Response,
            Self::Reset,
            Self::Shutdown,
            Self::Data,
            Self::CreditUpdate,
            Self::CreditRequest,
        ];
        all.into_iter().find(|op| *op as u16 == number)
    }
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// As many bytes as the header says.
    pub data: Vec<u8>,
}

impl Packet {
    /// What the driver sends in a chain, if that is a packet.
    pub(super) fn read(chain: &Chain, memory: &MemoryMap) -> Option<Self> {
        let mut bytes = [0; HEADER];
        chain.read_at(memory, 0, &mut bytes).ok().filter(|read| *read == HEADER)?;
        let header = Header::read_from_bytes(&bytes).ok()?;
        let length = usize::try_from(header.length.get()).ok().filter(|length| *length <= LONGEST)?;
        let mut data = vec![0; length];
        chain.read_at(memory, HEADER as u64, &mut data).ok().filter(|read| *read == length)?;
        Some(Self { header, data })
    }
}
