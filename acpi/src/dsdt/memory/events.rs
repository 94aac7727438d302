//! Notifications: the method that takes them off the device's queue, and the one that finds the
//! memory device that a slot number means.

use acpi_tables::aml::{
    And, Arg, Else, Equal, If, LessThan, Local, Method, MethodCall, NotEqual, Notify, Path, ShiftRight,
    Store, While,
};
use acpi_tables::{Aml, AmlSink};

use super::{CONTROLLER_PATH, EVENT, slot};
use crate::hotplug;

const NOTIFY_METHOD: &str = "MNTF";

/// `MSCN`: takes and delivers notifications until none is left.
pub(super) struct ScanMethod {
    pub slots: u16,
}

impl Aml for ScanMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let (event, slot, value) = (Local(0), Local(1), Local(2));
        let register = Path::new(EVENT);
        let take = Store::new(&event, &register);
        let controller = Path::new(CONTROLLER_PATH);
        Method::new(
            "MSCN".into(),
            0,
            true,
            vec![
                &take,
                &While::new(
                    &NotEqual::new(&event, &hotplug::NO_EVENT),
                    vec![
                        &And::new(&slot, &event, &0xffff_u16),
                        &ShiftRight::new(&value, &event, &16u8),
                        &If::new(
                            &LessThan::new(&slot, &self.slots),
                            vec![&MethodCall::new(NOTIFY_METHOD.into(), vec![&slot, &value])],
                        ),
                        &If::new(
                            &Equal::new(&slot, &hotplug::CONTAINER),
                            vec![&Notify::new(&controller, &value)],
                        ),
                        &take,
                    ],
                ),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// `MNTF`: notifies the memory device in slot `Arg0` with the value `Arg1`.
pub(super) struct NotifyMethod {
    pub slots: u16,
}

impl Aml for NotifyMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let all = Halves { first: 0, end: self.slots };
        Method::new(NOTIFY_METHOD.into(), 2, false, vec![&all]).to_aml_bytes(sink);
    }
}

/// `Notify` of the one slot from `first` up to `end` that is `Arg0`, found by halving: AML cannot
/// compute a name, and comparing with each slot in turn would cost the last one 1,023 comparisons.
struct Halves {
    first: u16,
    end: u16,
}

impl Aml for Halves {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Self { first, end } = *self;
        if end - first == 1 {
            return Notify::new(&slot::path(first), &Arg(1)).to_aml_bytes(sink);
        }
        let middle = first.midpoint(end);
        let (lower, upper) = (Self { first, end: middle }, Self { first: middle, end });
        If::new(&LessThan::new(&Arg(0), &middle), vec![&lower]).to_aml_bytes(sink);
        Else::new(vec![&upper]).to_aml_bytes(sink);
    }
}
