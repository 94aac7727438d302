//! The two layouts that memory groups promised, exactly.

use dimmer_images::Kernel;
use dimmer_lab::vm::TestVm;
use dimmer_lab::{expect, promised};

use crate::standard::{with_dimms, with_virtio_mem};
use crate::{GIB, Outcome};

crate::tests!("layouts": six_dimms, virtio_mem_grows_and_shrinks);

/// Fails with the differences.
pub fn assert_layout(vm: &mut TestVm, expected: &str) -> Outcome {
    let layout = vm.settled()?;
    let differences = expect::differences(expected, &layout)?;
    assert!(differences.is_empty(), "the layout differs:\n  {}", differences.join("\n  "));
    assert!(layout.blocks.iter().all(|block| block.nodes == [0]), "all blocks belong to node 0");
    Ok(())
}

fn six_dimms(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    assert_layout(&mut vm, promised::BOOT)?;
    for slot in 0..6 {
        let device = vm.rest.add_dimm(&format!("d{slot}"), 4 * GIB)?;
        assert_eq!((device["state"].as_str(), device["slot"].as_u64()), (Some("plugged"), Some(slot)));
    }
    assert_layout(&mut vm, promised::SIX_DIMMS)
}

fn virtio_mem_grows_and_shrinks(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let steps = [
        (12, promised::GROWN_12G),
        (14, promised::GROWN_14G),
        (16, promised::GROWN_16G),
        (4, promised::SHRUNK_4G),
    ];
    for (size, expected) in steps {
        let device = vm.rest.resize("vmem0", size * GIB)?;
        assert_eq!(device["plugged_size"], size * GIB);
        assert_layout(&mut vm, expected)?;
    }
    Ok(())
}
