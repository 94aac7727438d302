//! What the guest reports with `_OST`: what the two numbers mean, to the state machine and in words
//! (ACPI 6.5, section 6.3.5).

mod log;

pub use log::{OstLog, OstReport};

/// `Notify` values, as the source of a report.
const BUS_CHECK: u32 = 0x0;
const DEVICE_CHECK: u32 = 0x1;
const EJECT_REQUEST: u32 = 0x3;
/// The guest ejects a device because somebody in it said so.
const EJECTION_PROCESSING: u32 = 0x103;
/// The guest takes a device in.
const INSERTION_PROCESSING: u32 = 0x200;

const SUCCESS: u32 = 0x0;
const FAILURE: u32 = 0x1;
const UNRECOGNIZED: u32 = 0x2;
const INSERTION_PENDING: u32 = 0x80;
const EJECTION_PENDING: u32 = 0x84;

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A memory device.
    Memory,
    /// A processor.
    Processor,
}

/// One report, as the state machine of a slot needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// The guest looked at the device. It says so even when it could not add the memory.
    Checked,
    /// The guest did not take the device, for this reason.
    CheckFailed(String),
    /// The guest began to let the device go.
    EjectStarted,
    /// The guest has let the device go.
    Ejected,
    /// The guest keeps the device, for this reason.
    EjectFailed(String),
    /// Something that changes no state.
    Other,
}

impl Report {
    /// Decodes the arguments of a device's `_OST`.
    pub(crate) fn decode(subject: Subject, source: u32, status: u32) -> Self {
        match (source, status) {
            (DEVICE_CHECK | INSERTION_PROCESSING, SUCCESS) => Self::Checked,
            (DEVICE_CHECK | INSERTION_PROCESSING, INSERTION_PENDING) => Self::Other,
            (DEVICE_CHECK | INSERTION_PROCESSING, _) => Self::CheckFailed(insertion_reason(subject, status)),
            (EJECT_REQUEST | EJECTION_PROCESSING, SUCCESS) => Self::Ejected,
            (EJECT_REQUEST | EJECTION_PROCESSING, EJECTION_PENDING) => Self::EjectStarted,
            (EJECT_REQUEST | EJECTION_PROCESSING, _) => Self::EjectFailed(ejection_reason(subject, status)),
            _ => Self::Other,
        }
    }

    /// Decodes the arguments of the container's `_OST`, as what it says of the devices that the bus
    /// check was about.
    pub(crate) fn decode_bus_check(source: u32, status: u32) -> Self {
        match source {
            BUS_CHECK => Self::decode(Subject::Memory, DEVICE_CHECK, status),
            _ => Self::Other,
        }
    }

    /// Whether this ends a check for a device, successfully or not.
    pub(crate) const fn ends_check(&self) -> bool {
        matches!(self, Self::Checked | Self::CheckFailed(_))
    }

    /// Whether this ends an ejection, successfully or not.
    pub(crate) const fn ends_ejection(&self) -> bool {
        matches!(self, Self::Ejected | Self::EjectFailed(_))
    }
}

/// Whether a report from `source` answers an eject request of the host, rather than being about
/// an ejection that began in the guest.
pub(crate) const fn answers_request(source: u32) -> bool {
    source == EJECT_REQUEST
}

/// Both arguments of a memory device's report in words.
fn meaning(source: u32, status: u32) -> String {
    let about = match source {
        BUS_CHECK => "bus check",
        DEVICE_CHECK => "device check",
        EJECT_REQUEST => "eject request",
        EJECTION_PROCESSING => "ejection that the guest began",
        INSERTION_PROCESSING => "insertion",
        _ => return format!("unknown source {source:#x}, status {status:#x}"),
    };
    let ejection = matches!(source, EJECT_REQUEST | EJECTION_PROCESSING);
    let end = match status {
        SUCCESS => "success".to_owned(),
        EJECTION_PENDING if ejection => "in progress".to_owned(),
        INSERTION_PENDING if !ejection => "in progress".to_owned(),
        _ if ejection => ejection_reason(Subject::Memory, status),
        _ => insertion_reason(Subject::Memory, status),
    };
    format!("{about}: {end}")
}

fn insertion_reason(subject: Subject, status: u32) -> String {
    let words = match status {
        FAILURE => "failed: the guest did not find or could not take the device",
        UNRECOGNIZED => "failed: the guest does not know the notification",
        0x81 => "failed: the guest could not load a driver",
        0x82 if subject == Subject::Memory => "not supported: the guest takes no memory devices",
        0x82 => "not supported: the guest takes no processors",
        _ => "failed: the guest gave an unknown reason",
    };
    format!("{words} (_OST status {status:#x})")
}

fn ejection_reason(subject: Subject, status: u32) -> String {
    let words = match status {
        FAILURE => "failed: the guest could not let the device go",
        UNRECOGNIZED => "failed: the guest does not know the notification",
        0x80 if subject == Subject::Processor => {
            "disabled: the guest does not allow ejection (/sys/firmware/acpi/hotplug/processor/enabled is 0)"
        }
        0x80 => {
            "disabled: the guest does not allow ejection (/sys/firmware/acpi/hotplug/memory/enabled is 0)"
        }
        0x81 => "in use: an application in the guest holds the device",
        0x82 if subject == Subject::Memory => "busy: the guest could not take a memory block offline",
        0x82 => "busy: the guest could not take the processor offline",
        0x83 => "busy: a device that depends on it cannot be ejected",
        _ => "failed: the guest gave an unknown reason",
    };
    format!("{words} (_OST status {status:#x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eject_failed(source: u32, status: u32) -> String {
        match Report::decode(Subject::Memory, source, status) {
            Report::EjectFailed(reason) => reason,
            other => panic!("({source:#x}, {status:#x}) is {other:?}"),
        }
    }

    #[test]
    fn what_linux_reports_is_understood() {
        for (source, status, expected) in [
            (1, 0, Report::Checked),
            (0, 0, Report::Other),
            (3, 0x84, Report::EjectStarted),
            (3, 0, Report::Ejected),
            (0x103, 0, Report::Ejected),
            (0x103, 0x84, Report::EjectStarted),
            (1, 0x80, Report::Other),
            (0x200, 0x80, Report::Other),
            (u32::MAX, u32::MAX, Report::Other),
        ] {
            assert_eq!(
                Report::decode(Subject::Memory, source, status),
                expected,
                "({source:#x}, {status:#x})"
            );
        }
        assert!(matches!(Report::decode(Subject::Memory, 1, 1), Report::CheckFailed(_)));
    }

    #[test]
    fn the_container_reports_bus_checks_only() {
        assert_eq!(Report::decode_bus_check(0, 0), Report::Checked);
        assert_eq!(Report::decode_bus_check(0, 0x80), Report::Other);
        assert!(matches!(Report::decode_bus_check(0, 1), Report::CheckFailed(_)));
        for source in [1, 3, 0x103, 0x200] {
            assert_eq!(Report::decode_bus_check(source, 0), Report::Other);
        }
    }

    #[test]
    fn both_numbers_have_words() {
        for (source, status, expected) in [
            (0, 0, "bus check: success"),
            (1, 0, "device check: success"),
            (0x200, 0x80, "insertion: in progress"),
            (3, 0x84, "eject request: in progress"),
            (0x103, 0, "ejection that the guest began: success"),
            (5, 6, "unknown source 0x5, status 0x6"),
        ] {
            assert_eq!(meaning(source, status), expected);
        }
        assert!(meaning(1, 1).starts_with("device check: failed: the guest did not find"));
        assert!(meaning(3, 0x80).starts_with("eject request: disabled: "));
        assert!(meaning(0x103, 0x82).ends_with("(_OST status 0x82)"));
    }

    #[test]
    fn a_processor_is_no_memory() {
        for status in [0x80, 0x82] {
            for source in [1, 3] {
                let said = [Subject::Memory, Subject::Processor]
                    .map(|subject| Report::decode(subject, source, status));
                assert!(
                    said[0] != said[1] || said[0] == Report::Other,
                    "({source:#x}, {status:#x}): {said:?}"
                );
                assert!(!format!("{:?}", said[1]).contains("memory"), "{said:?}");
            }
        }
    }

    #[test]
    fn every_refusal_says_why_and_shows_the_number() {
        for source in [3, 0x103] {
            assert!(eject_failed(source, 0x82).starts_with("busy: the guest could not take a memory block"));
            assert!(eject_failed(source, 0x80).starts_with("disabled: "));
            for status in [1, 2, 0x80, 0x81, 0x82, 0x83, 0x85, u32::MAX] {
                assert!(eject_failed(source, status).ends_with(&format!("(_OST status {status:#x})")));
            }
        }
    }
}
