//! ACPI memory devices of several ranges, of odd sizes, and in a machine with all 1,024 slots.

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::dimm::{ONE_DIMM, assert_reported};
use crate::layouts::assert_layout;
use crate::standard::with_dimms;
use crate::virtio_mem::assert_said;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("dimm_ranges":
    several_ranges_are_one_group,
    several_ranges_descending,
    neighbouring_ranges_merge_in_one_order_only,
    a_range_that_fails_leaves_the_others,
    an_unaligned_device_is_taken_without_any_memory,
    slots_from_1000_on_come_and_go,
);

/// Three ranges of 2, 3 and 3 blocks, with gaps of 1 and 2 blocks between them.
fn three_ranges(id: &str, order: &str) -> Value {
    let range = |blocks: u64, gap: u64| json!({"size": blocks * 128 * MIB, "gap": gap * 128 * MIB});
    json!({"id": id, "ranges": [range(2, 1), range(3, 2), range(3, 0)], "order": order})
}

fn layout(blocks: &str) -> String {
    format!("{}, {blocks}", promised::BOOT)
}

/// 20 % of boot RAM are 6 blocks. Each range alone would fit, but they are one group of 8 blocks, so
/// all of it is kernel memory; and a device of three times 2 blocks is movable as a whole.
fn several_ranges_are_one_group(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.shell("echo 20 > /sys/module/memory_hotplug/parameters/auto_movable_ratio")?;
    let device = vm.rest.add_dimm_with(three_ranges("large", "ascending"))?;
    assert_eq!((&device["plugged_size"], &device["slot"]), (&json!(GIB), &json!(0)));
    let large = "48-49 Normal, 51-53 Normal, 56-58 Normal";
    assert_layout(&mut vm, &layout(large))?;
    let acpi = "/sys/bus/acpi/devices/PNP0C80:00";
    assert_eq!(vm.shell(&format!("cat {acpi}/path"))?.trim(), r"\_SB_.MHPC.N000.M000");
    assert_eq!(vm.shell(&format!("ls -d {acpi}/physical_node* | wc -l"))?.trim(), "8");

    let range = |gap: u64| json!({"size": 256 * MIB, "gap": gap * 128 * MIB});
    vm.rest.add_dimm_with(json!({"id": "small", "ranges": [range(1), range(3), range(0)]}))?;
    let small = "59-60 Movable, 62-63 Movable, 67-68 Movable";
    assert_layout(&mut vm, &layout(&format!("{large}, {small}")))?;

    assert_eq!(vm.rest.remove_dimm("large")?.status, 200);
    assert_layout(&mut vm, &layout(small))?;
    assert_reported(&vm, "large", &[(1, 0), (3, 0x84), (3, 0)])?;
    Ok(())
}

fn several_ranges_descending(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let device = vm.rest.add_dimm_with(three_ranges("d0", "descending"))?;
    let starts: Vec<_> =
        device["ranges"].as_array().into_iter().flatten().map(|range| &range["start"]).collect();
    assert_eq!(starts, [57, 53, 48].map(|block: u64| json!(block * 128 * MIB)).each_ref());
    assert_layout(&mut vm, &layout("48-50 Movable, 53-55 Movable, 57-58 Movable"))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    // The gaps went with it.
    vm.rest.add_dimm("d1", GIB)?;
    assert_layout(&mut vm, ONE_DIMM)
}

/// Linux joins a range to one that it begins right behind, so only if the lower one comes first.
fn neighbouring_ranges_merge_in_one_order_only(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let (lower, upper) = ("180000000-19fffffff", "1a0000000-1bfffffff");
    for (order, expected) in [("ascending", vec!["180000000-1bfffffff"]), ("descending", vec![lower, upper])]
    {
        let range = json!({"size": 512 * MIB});
        vm.rest.add_dimm_with(json!({"id": order, "ranges": [range, range], "order": order}))?;
        assert_layout(&mut vm, ONE_DIMM)?;
        let resources = vm.shell("sed -n 's/ : System RAM$//p' /proc/iomem | grep ^1[89ab]")?;
        assert_eq!(resources.lines().collect::<Vec<_>>(), expected, "{order}");
        assert_eq!(vm.rest.remove_dimm(order)?.status, 200);
        assert_layout(&mut vm, promised::BOOT)?;
    }
    Ok(())
}

/// The guest reports success: only a look into it shows what came.
fn a_range_that_fails_leaves_the_others(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let range = |size: u64, gap: u64| json!({"size": size * MIB, "gap": gap * MIB});
    let ranges = [range(256, 0), range(192, 64), range(256, 0)];
    let device = vm.rest.add_dimm_with(json!({"id": "odd", "ranges": ranges, "unaligned": true}))?;
    // The second is joined to the first, which it follows: both fail.
    assert_eq!((&device["state"], &device["plugged_size"]), (&json!("plugged"), &json!(704 * MIB)));
    assert_layout(&mut vm, &layout("52-53 Movable"))?;
    assert_said(&mut vm, "unaligned hotplug range")?;
    assert_eq!(vm.rest.remove_dimm("odd")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    let ranges = [range(256, 128), range(192, 64), range(256, 0)];
    vm.rest.add_dimm_with(json!({"id": "apart", "ranges": ranges, "unaligned": true}))?;
    assert_layout(&mut vm, &layout("48-49 Movable, 53-54 Movable"))?;
    assert_eq!(vm.rest.remove_dimm("apart")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    assert_reported(&vm, "apart", &[(1, 0), (3, 0x84), (3, 0)])?;
    Ok(())
}

fn an_unaligned_device_is_taken_without_any_memory(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let device = vm.rest.add_dimm_with(json!({"id": "odd", "size": 192 * MIB, "unaligned": true}))?;
    assert_eq!((&device["state"], &device["last"]["outcome"]), (&json!("plugged"), &json!("done")));
    assert_layout(&mut vm, promised::BOOT)?;
    assert_said(
        &mut vm,
        "Block size [0x8000000] unaligned hotplug range: start 0x180000000, size 0xc000000",
    )?;
    assert_said(&mut vm, "add_memory failed")?;
    assert_eq!(vm.rest.remove_dimm("odd")?.status, 200);
    assert_reported(&vm, "odd", &[(1, 0), (3, 0x84), (3, 0)])?;
    vm.rest.add_dimm("even", GIB)?;
    assert_layout(&mut vm, ONE_DIMM)
}

/// The first 1,000 slots hold devices that the guest is not told of.
fn slots_from_1000_on_come_and_go(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=acpi,slots=1024,size=160G";
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?;
    for slot in 0..1000 {
        let unseen = json!({
            "id": format!("unseen{slot}"), "kind": "dimm", "size": MIB, "unaligned": true, "notify": "none"
        });
        vm.rest.tell(Method::POST, "/memory-devices", Some(&unseen))?;
    }
    let add = |vm: &TestVm, slot: u64| -> Outcome {
        let device = vm.rest.add_dimm(&format!("d{slot}"), 128 * MIB)?;
        assert_eq!(device["slot"], slot);
        Ok(())
    };
    (1000..1020).try_for_each(|slot| add(&vm, slot))?;
    assert_layout(&mut vm, &layout("1048-1067 Movable"))?;
    for slot in [1019, 1005] {
        assert_eq!(vm.rest.remove_dimm(&format!("d{slot}"))?.status, 200);
    }
    assert_layout(&mut vm, &layout("1048-1052 Movable, 1054-1066 Movable"))?;
    [1005, 1019].into_iter().try_for_each(|slot| add(&vm, slot))?;
    (1020..1024).try_for_each(|slot| add(&vm, slot))?;
    let full = json!({"id": "more", "kind": "dimm", "size": 128 * MIB});
    assert_eq!(vm.rest.ask(Method::POST, "/memory-devices", Some(&full))?.status, 409);
    assert_layout(&mut vm, &layout("1048-1071 Movable"))
}
