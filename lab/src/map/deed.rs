//! What a user may have the machine or the guest do: what is asked, and how the answer is read.

use std::fmt;

use dimmer::units::Bytes;
use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::ZoneKind;

use crate::scenario::Size;

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A DIMM is plugged.
    Plug {
        /// Its name.
        id: String,
        /// Its size in bytes.
        size: u64,
        /// Its node.
        node: u32,
    },
    /// A virtio-mem device's size is asked for.
    Resize {
        /// The device.
        id: String,
        /// Bytes wanted.
        size: u64,
    },
    /// The guest is asked to let a DIMM go.
    Eject {
        /// The DIMM.
        id: String,
    },
    /// Blocks are put online.
    Online {
        /// Which.
        blocks: BlockList,
        /// To which kind of zone; as the policy says if not said.
        zone: Option<ZoneKind>,
    },
    /// Blocks are taken offline.
    Offline {
        /// Which.
        blocks: BlockList,
    },
}

/// What a user can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Which DIMM to plug.
    Plug,
    /// Which size a virtio-mem device is to have.
    Resize,
    /// Which DIMM to eject.
    Eject,
    /// Which blocks to put online.
    Online,
    /// Which blocks to take offline.
    Offline,
}

impl Question {
    /// In words, with the form of the answer.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plug => "plug a DIMM (SIZE [NAME [NODE]])",
            Self::Resize => "resize (DEVICE SIZE)",
            Self::Eject => "eject a DIMM (NAME)",
            Self::Online => "online (BLOCKS [kernel|movable])",
            Self::Offline => "offline (BLOCKS)",
        }
    }

    /// What the answer asks for; a DIMM that is not named gets the name `free`.
    ///
    /// # Errors
    /// What is wrong with the answer, in words.
    pub fn read(self, answer: &str, free: &str) -> Result<Deed, String> {
        let words: Vec<&str> = answer.split_whitespace().collect();
        let size = |word: &str| word.parse::<Size>().map(|size| size.0);
        let blocks = |word: &str| word.parse::<BlockList>().map_err(|error| error.to_string());
        let node = |word: &str| word.parse::<u32>().map_err(|_| format!("{word:?} is not a node's number"));
        match (self, words.as_slice()) {
            (Self::Plug, [bytes]) => Ok(Deed::Plug { id: free.to_owned(), size: size(bytes)?, node: 0 }),
            (Self::Plug, [bytes, id]) => Ok(Deed::Plug { id: (*id).to_owned(), size: size(bytes)?, node: 0 }),
            (Self::Plug, [bytes, id, at]) => {
                Ok(Deed::Plug { id: (*id).to_owned(), size: size(bytes)?, node: node(at)? })
            }
            (Self::Resize, [id, bytes]) => Ok(Deed::Resize { id: (*id).to_owned(), size: size(bytes)? }),
            (Self::Eject, [id]) => Ok(Deed::Eject { id: (*id).to_owned() }),
            (Self::Online, [list]) => Ok(Deed::Online { blocks: blocks(list)?, zone: None }),
            (Self::Online, [list, "kernel"]) => {
                Ok(Deed::Online { blocks: blocks(list)?, zone: Some(ZoneKind::Kernel) })
            }
            (Self::Online, [list, "movable"]) => {
                Ok(Deed::Online { blocks: blocks(list)?, zone: Some(ZoneKind::Movable) })
            }
            (Self::Offline, [list]) => Ok(Deed::Offline { blocks: blocks(list)? }),
            _ => Err(format!("{answer:?} is no answer to: {}", self.words())),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plug { id, size, node } => write!(f, "plug {id}, {}, on node {node}", Bytes(*size)),
            Self::Resize { id, size } => write!(f, "resize {id} to {}", Bytes(*size)),
            Self::Eject { id } => write!(f, "eject {id}"),
            Self::Online { blocks, zone } => {
                let to = match zone {
                    None => "",
                    Some(ZoneKind::Kernel) => " to a kernel zone",
                    Some(ZoneKind::Movable) => " to the movable zone",
                };
                write!(f, "online {}{to}", String::from(blocks.clone()))
            }
            Self::Offline { blocks } => write!(f, "offline {}", String::from(blocks.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_said_again() {
        for (question, answer, said) in [
            (Question::Plug, "4G", "plug d3, 4 GiB, on node 0"),
            (Question::Plug, " 128M  x 1 ", "plug x, 128 MiB, on node 1"),
            (Question::Resize, "vmem0 0", "resize vmem0 to 0 bytes"),
            (Question::Eject, "d0", "eject d0"),
            (Question::Online, "48-50,60", "online 48-50,60"),
            (Question::Online, "48 kernel", "online 48 to a kernel zone"),
            (Question::Online, "48 movable", "online 48 to the movable zone"),
            (Question::Offline, "48-79", "offline 48-79"),
        ] {
            assert_eq!(question.read(answer, "d3").unwrap().to_string(), said);
        }
    }

    #[test]
    fn what_is_no_answer_is_said_with_the_form() {
        for (question, answer, why) in [
            (Question::Plug, "", "plug a DIMM (SIZE"),
            (Question::Plug, "much", "is not a size"),
            (Question::Plug, "4G d0 here", "is not a node's number"),
            (Question::Resize, "8G", "resize (DEVICE SIZE)"),
            (Question::Online, "48 Normal", "[kernel|movable]"),
            (Question::Offline, "50-48", "ends before it starts"),
        ] {
            let error = question.read(answer, "d0").unwrap_err();
            assert!(error.contains(why), "{answer:?}: {error}");
        }
    }
}
