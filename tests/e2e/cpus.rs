//! Processors that come and go while the guest runs.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::rest::RestError;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::{GIB, Outcome};

crate::tests!("cpus":
    they_come_work_and_go,
    one_that_the_guest_keeps,
    they_go_on_in_copies_and_behind_a_reset,
    a_node_lives_as_long_as_it_has_something,
);

/// Asks for so many, waits for the end, and shows how they are then.
fn resize(vm: &TestVm, count: u32) -> Result<Value, RestError> {
    vm.rest.tell(Method::PUT, "/vm.resize?wait=60", Some(&json!({"desired_vcpus": count})))
}

/// A file of /sys/devices/system/cpu, without the end of its line.
fn file(vm: &mut TestVm, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(vm.shell(&format!("cat /sys/devices/system/cpu/{name}"))?.trim().to_owned())
}

/// Has the guest use one, and something run there.
fn use_it(vm: &mut TestVm, cpu: u32) -> Outcome {
    vm.shell(&format!("echo 1 > /sys/devices/system/cpu/cpu{cpu}/online"))?;
    works(vm, cpu)
}

/// Something runs there, with the one that it is on the last field but 13 of its `stat`.
fn works(vm: &mut TestVm, cpu: u32) -> Outcome {
    let mask = format!("{:x}", 1 << cpu);
    let ran = vm.shell(&format!(
        "taskset {mask} sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; cat /proc/self/stat'"
    ))?;
    let on = ran.split_whitespace().nth(38);
    assert_eq!(on, Some(cpu.to_string().as_str()), "{ran}");
    Ok(())
}

fn they_come_work_and_go(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments("--cpus 1,max=6").boot()?;
    assert_eq!(file(&mut vm, "present")?, "0");
    assert_eq!(
        resize(&vm, 3)?,
        json!({"max": 6, "requested": 3, "plugged": 3, "state": "plugged", "last": {"outcome": "done", "reason": null}})
    );
    assert_eq!((file(&mut vm, "present")?, file(&mut vm, "online")?), ("0-2".to_owned(), "0".to_owned()));
    assert_eq!(vm.rest.vcpus()?.len(), 3);
    use_it(&mut vm, 1)?;
    use_it(&mut vm, 2)?;
    // One that is in use is taken offline by the guest before it goes, and works again when it comes back.
    for _ in 0..3 {
        assert_eq!(resize(&vm, 1)?["plugged"], 1);
        assert_eq!(file(&mut vm, "present")?, "0");
        assert_eq!(resize(&vm, 2)?["plugged"], 2);
        use_it(&mut vm, 1)?;
    }
    let all = resize(&vm, 6)?;
    assert_eq!((&all["plugged"], file(&mut vm, "present")?), (&json!(6), "0-5".to_owned()));
    for cpu in 2..6 {
        use_it(&mut vm, cpu)?;
    }
    let refused = vm.rest.ask(Method::PUT, "/vm.resize", Some(&json!({"desired_vcpus": 7})))?;
    assert_eq!((refused.status, &refused.body["detail"]), (422, &json!("desired_vcpus=7: must be 1 to 6")));
    Ok(())
}

fn one_that_the_guest_keeps(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments("--cpus 2,max=3").boot()?;
    vm.shell("echo 0 > /sys/firmware/acpi/hotplug/processor/enabled")?;
    let kept = vm.rest.ask(Method::PUT, "/vm.resize?wait=60", Some(&json!({"desired_vcpus": 1})))?;
    let detail = kept.body["detail"].as_str().unwrap_or_default();
    assert_eq!(kept.status, 409, "{}", kept.body);
    assert!(
        detail.starts_with("cpus: refused: ") && detail.ends_with("; 2 plugged, 1 requested"),
        "{detail}"
    );
    works(&mut vm, 1)?;
    vm.shell("echo 1 > /sys/firmware/acpi/hotplug/processor/enabled")?;
    assert_eq!(resize(&vm, 1)?["plugged"], 1);
    Ok(())
}

fn they_go_on_in_copies_and_behind_a_reset(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments("--cpus 1,max=4").boot()?;
    resize(&vm, 3)?;
    use_it(&mut vm, 1)?;
    let directory = tempfile::tempdir()?;
    vm.snapshot(directory.path())?;
    let mut restored = TestVm::restore(directory.path(), "")?;
    restored.connect()?;
    for mut copy in [vm.fork()?, restored] {
        assert_eq!(
            (file(&mut copy, "present")?, file(&mut copy, "online")?),
            ("0-2".to_owned(), "0-1".to_owned())
        );
        works(&mut copy, 1)?;
        use_it(&mut copy, 2)?;
        assert_eq!(resize(&copy, 1)?["plugged"], 1);
        assert_eq!(resize(&copy, 4)?["plugged"], 4);
        use_it(&mut copy, 3)?;
    }
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    assert_eq!(file(&mut vm, "online")?, "0-2", "those that are there boot with the machine");
    works(&mut vm, 2)?;
    assert_eq!(resize(&vm, 1)?["plugged"], 1);
    Ok(())
}

/// Node 1 comes with its DIMM, has a processor, and stays without the DIMM, until the processor goes as well.
fn a_node_lives_as_long_as_it_has_something(kernel: &Kernel) -> Outcome {
    // All of it movable, so that it can go whatever the guest does.
    let mut vm = Setup::new(kernel)
        .cmdline("memhp_default_state=online_movable memory_hotplug.online_policy=contig-zones")
        .arguments("--memory size=2G --cpus 1,max=2 --numa id=0,cpus=0,memory=2G --numa id=1,cpus=1")
        .arguments("--memory-hotplug method=acpi,slots=2,size=4G")
        .boot()?;
    let node = |vm: &mut TestVm, name: &str| vm.shell(&format!("cat /sys/devices/system/node/{name}"));
    assert_eq!(node(&mut vm, "online")?.trim(), "0");
    vm.rest.add_dimm_with(json!({"id": "d0", "size": GIB, "node": 1}))?;
    assert_eq!((node(&mut vm, "online")?.trim(), node(&mut vm, "has_cpu")?.trim()), ("0-1", "0"));
    resize(&vm, 2)?;
    use_it(&mut vm, 1)?;
    assert_eq!(node(&mut vm, "has_cpu")?.trim(), "0-1");
    assert_eq!(node(&mut vm, "node1/cpulist")?.trim(), "1");
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!((node(&mut vm, "online")?.trim(), node(&mut vm, "has_memory")?.trim()), ("0-1", "0"));
    assert_eq!(resize(&vm, 1)?["plugged"], 1);
    assert_eq!(node(&mut vm, "online")?.trim(), "0");
    Ok(())
}
