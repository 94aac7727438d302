//! Notifications: the method that takes them off the device's queue, and the one that finds the device that a slot number means.

use acpi_tables::aml::{
    And, Arg, Else, Equal, If, LessThan, Local, Method, MethodCall, NotEqual, Notify, Path, ShiftRight,
    Store, While,
};
use acpi_tables::{Aml, AmlSink};

use super::EVENT;
use crate::hotplug::NO_EVENT;

/// Name of the method that delivers the waiting notifications.
const SCAN_METHOD: &str = "SSCN";
const NOTIFY_METHOD: &str = "SNTF";

/// The absolute name of that method of the controller at `path`.
pub(in crate::dsdt) fn scan_path(path: &str) -> Path {
    Path::new(&format!("{path}.{SCAN_METHOD}"))
}

/// The method that takes and delivers notifications until none is left.
pub(in crate::dsdt) struct ScanMethod {
    /// Number of slots.
    pub slots: u16,
    /// What stands for the controller in place of a slot, and its name, if it is notified itself.
    pub controller: Option<(u16, Path)>,
}

impl Aml for ScanMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let (event, slot, value) = (Local(0), Local(1), Local(2));
        let register = Path::new(EVENT);
        let take = Store::new(&event, &register);
        let number = And::new(&slot, &event, &0xffff_u16);
        let shift = ShiftRight::new(&value, &event, &16u8);
        let in_slot = LessThan::new(&slot, &self.slots);
        let notify = MethodCall::new(NOTIFY_METHOD.into(), vec![&slot, &value]);
        let if_slot = If::new(&in_slot, vec![&notify]);
        let controller = self.controller.as_ref();
        let parts = controller.map(|(number, path)| (Equal::new(&slot, number), Notify::new(path, &value)));
        let if_controller = parts.as_ref().map(|(equal, notify)| If::new(equal, vec![notify]));
        let mut body: Vec<&dyn Aml> = vec![&number, &shift, &if_slot];
        body.extend(if_controller.iter().map(|part| part as &dyn Aml));
        body.push(&take);
        let waiting = NotEqual::new(&event, &NO_EVENT);
        let all = While::new(&waiting, body);
        Method::new(SCAN_METHOD.into(), 0, true, vec![&take, &all]).to_aml_bytes(sink);
    }
}

/// The method that notifies the device in slot `Arg0` with the value `Arg1`.
pub(in crate::dsdt) struct NotifyMethod {
    /// Number of slots.
    pub slots: u16,
    /// The absolute name of the device in a slot.
    pub path: fn(u16) -> Path,
}

impl Aml for NotifyMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let all = Halves { first: 0, end: self.slots, path: self.path };
        Method::new(NOTIFY_METHOD.into(), 2, false, vec![&all]).to_aml_bytes(sink);
    }
}

/// `Notify` of the one slot from `first` up to `end` that is `Arg0`, found by halving: AML cannot
/// compute a name, and comparing with each slot in turn would cost the last one 1,023 comparisons.
struct Halves {
    first: u16,
    end: u16,
    path: fn(u16) -> Path,
}

impl Aml for Halves {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Self { first, end, path } = *self;
        if end - first == 1 {
            return Notify::new(&path(first), &Arg(1)).to_aml_bytes(sink);
        }
        let middle = first.midpoint(end);
        let (lower, upper) = (Self { end: middle, ..*self }, Self { first: middle, ..*self });
        If::new(&LessThan::new(&Arg(0), &middle), vec![&lower]).to_aml_bytes(sink);
        Else::new(vec![&upper]).to_aml_bytes(sink);
    }
}
