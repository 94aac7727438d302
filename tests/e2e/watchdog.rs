//! The watchdog: guests that show signs of life, and guests that do not.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm, VmError};
use serde_json::{Value, json};

use crate::Outcome;
use crate::patience::wait_until;

crate::tests!("watchdog":
    a_reset_that_the_next_guest_knows_of,
    signs_of_life_and_other_ends,
);

/// A guest that says every second, with eight seconds' time, that it is alive.
fn boot(kernel: &Kernel, action: &str) -> Result<TestVm, VmError> {
    let mut vm =
        Setup::new(kernel).arguments("--memory size=1G").arguments(&format!("--watchdog {action}")).boot()?;
    vm.guest().load_module("wdat_wdt").map_err(|error| VmError::Images(error.to_string()))?;
    vm.shell("watchdog -T 8 -t 1 /dev/watchdog0")?;
    Ok(vm)
}

/// It falls silent.
fn fall_silent(vm: &mut TestVm) -> Outcome {
    Ok(vm.shell("killall -STOP watchdog").map(drop)?)
}

/// Waits for the bite, and shows what it said follows.
fn bitten(vm: &TestVm) -> Result<Value, Box<dyn std::error::Error>> {
    let mut action = Value::Null;
    wait_until("the watchdog to bite", || {
        let bites: Vec<_> =
            vm.rest.events()?.into_iter().filter(|event| event["event"] == "watchdog").collect();
        assert!(bites.len() <= 1, "once: {bites:?}");
        action = bites.first().map_or(Value::Null, |bite| bite["action"].clone());
        Ok(!action.is_null())
    })?;
    Ok(action)
}

fn a_reset_that_the_next_guest_knows_of(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "reset")?;
    let file = |vm: &mut TestVm, name: &str| vm.shell(&format!("cat /sys/class/watchdog/watchdog0/{name}"));
    assert_eq!((file(&mut vm, "timeout")?.trim(), file(&mut vm, "bootstatus")?.trim()), ("8", "0"));
    fall_silent(&mut vm)?;
    assert_eq!(bitten(&vm)?, "reset");
    vm.wait_for_resets(1)?;
    vm.rebooted()?;
    vm.guest().load_module("wdat_wdt")?;
    // WDIOF_CARDRESET (include/uapi/linux/watchdog.h).
    assert_eq!(file(&mut vm, "bootstatus")?.trim(), "32");
    assert_eq!(file(&mut vm, "state")?.trim(), "inactive");
    Ok(())
}

fn signs_of_life_and_other_ends(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "pause")?;
    // A guest that stands still shows no signs of life, and is not to blame for it.
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    std::thread::sleep(std::time::Duration::from_secs(9));
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    vm.shell("sleep 3")?;
    assert!(vm.rest.events()?.iter().all(|event| event["event"] != "watchdog"), "it was alive");
    let mut copy = vm.fork()?;
    fall_silent(&mut copy)?;
    assert_eq!(bitten(&copy)?, "pause");
    assert_eq!(copy.rest.tell(Method::GET, "/vm.info", None)?["state"], json!("paused"));
    assert!(vm.rest.events()?.iter().all(|event| event["event"] != "watchdog"), "that was the child's");
    Ok(())
}
