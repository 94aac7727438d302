//! Requests of the driver: from a descriptor chain to a type, and the response back.
//!
//! Whatever a chain holds, it becomes a [`Request`] or is [`Malformed`]. A chain without room for
//! a response cannot be answered, and is then not carried out either.

use crate::memory_map::MemoryMap;
use serde::{Deserialize, Serialize};
use vm_memory::Bytes;
use zerocopy::{FromBytes, IntoBytes};

use super::abi::{self, WireRequest, WireResponse};
use crate::virtio::chain::{Buffer, Chain};

/// Blocks that a request is about: a number of them from an address on, both unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Guest-physical address of the first.
    pub address: u64,
    /// How many.
    pub blocks: u16,
}

/// What the driver asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// To plug these.
    Plug(Span),
    /// To unplug these.
    Unplug(Span),
    /// To unplug all.
    UnplugAll,
    /// To say what is plugged of these.
    State(Span),
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It is done.
    Ack,
    /// Not now: the driver is asked to reach another size.
    Nack,
    /// Not now: the host cannot.
    Busy,
    /// Never: the request is wrong.
    Error,
    /// Acknowledges a state request.
    State(BlockState),
}

/// The state of the blocks of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockState {
    /// All are plugged.
    Plugged,
    /// None is.
    Unplugged,
    /// Some are.
    Mixed,
}

/// The request is too short, cannot be read, or has an unknown type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Malformed;

/// A chain, taken apart.
#[derive(Debug)]
pub(super) struct Received {
    /// The chain's first descriptor.
    pub(super) head: u16,
    pub(super) request: Result<Request, Malformed>,
    /// Where the response goes, when there is room for one.
    pub(super) reply_to: Option<ReplyTo>,
}

/// The places of a response's bytes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReplyTo(pub(super) Vec<Buffer>);

impl Received {
    pub(super) fn new(chain: &Chain, memory: &MemoryMap) -> Self {
        Self {
            head: chain.head(),
            request: Request::read(chain, memory),
            reply_to: chain.room(memory, size_of::<WireResponse>()).map(ReplyTo),
        }
    }
}

impl Request {
    fn read(chain: &Chain, memory: &MemoryMap) -> Result<Self, Malformed> {
        let mut bytes = [0; size_of::<WireRequest>()];
        match chain.read_at(memory, 0, &mut bytes) {
            Ok(read) => Self::decode(&bytes[..read]),
            Err(_) => Err(Malformed),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire = WireRequest::read_from_bytes(bytes).map_err(|_| Malformed)?;
        let span = Span { address: wire.addr.get(), blocks: wire.nb_blocks.get() };
        match wire.kind.get() {
            abi::REQUEST_PLUG => Ok(Self::Plug(span)),
            abi::REQUEST_UNPLUG => Ok(Self::Unplug(span)),
            abi::REQUEST_UNPLUG_ALL => Ok(Self::UnplugAll),
            abi::REQUEST_STATE => Ok(Self::State(span)),
            _ => Err(Malformed),
        }
    }
}

impl ReplyTo {
    /// Writes the response; returns how many bytes, 0 when the memory is no longer there.
    pub(super) fn write(&self, memory: &MemoryMap, response: Response) -> u32 {
        let wire = response.encode();
        let mut rest = wire.as_bytes();
        let mut written = 0;
        for Buffer { address, length } in &self.0 {
            let (part, behind) = rest.split_at(*length as usize);
            if memory.write_slice(part, *address).is_err() {
                return 0;
            }
            rest = behind;
            written += length;
        }
        written
    }
}

impl Response {
    fn encode(self) -> WireResponse {
        let (kind, state) = match self {
            Self::Ack => (abi::RESPONSE_ACK, 0),
            Self::Nack => (abi::RESPONSE_NACK, 0),
            Self::Busy => (abi::RESPONSE_BUSY, 0),
            Self::Error => (abi::RESPONSE_ERROR, 0),
            Self::State(BlockState::Plugged) => (abi::RESPONSE_ACK, abi::STATE_PLUGGED),
            Self::State(BlockState::Unplugged) => (abi::RESPONSE_ACK, abi::STATE_UNPLUGGED),
            Self::State(BlockState::Mixed) => (abi::RESPONSE_ACK, abi::STATE_MIXED),
        };
        WireResponse { kind: kind.into(), padding: [0; 6], state: state.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(kind: u16, address: u64, blocks: u16) -> Vec<u8> {
        let wire = WireRequest {
            kind: kind.into(),
            padding: [0xee; 6],
            addr: address.into(),
            nb_blocks: blocks.into(),
            padding_2: [0xee; 6],
        };
        wire.as_bytes().to_vec()
    }

    #[test]
    fn each_type_is_known_by_its_number() {
        let span = Span { address: 0x1_2345_0000, blocks: 0x102 };
        for (kind, expected) in [
            (0, Ok(Request::Plug(span))),
            (1, Ok(Request::Unplug(span))),
            (2, Ok(Request::UnplugAll)),
            (3, Ok(Request::State(span))),
            (4, Err(Malformed)),
            (u16::MAX, Err(Malformed)),
        ] {
            assert_eq!(Request::decode(&wire(kind, span.address, span.blocks)), expected);
        }
    }

    #[test]
    fn fields_are_little_endian_at_their_offsets() {
        let bytes = wire(1, 0x0807_0605_0403_0201, 0x0a09);
        assert_eq!((bytes[0], bytes[8], bytes[15], bytes[16], bytes[17]), (1, 1, 8, 9, 0xa));
        let state = Response::State(BlockState::Mixed).encode();
        assert_eq!(state.as_bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(Response::Error.encode().as_bytes(), [3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let decoded = Request::decode(&bytes);
            prop_assert!(bytes.len() == 24 || decoded.is_err());
        }
    }
}
