//! Virtio devices end to end: any driver, any memory, and whatever the host does meanwhile.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use dimmer_devices::memory::GuestRange;
use dimmer_devices::virtio::balloon::{Balloon, BalloonConfig, QUEUES, STATISTICS};
use dimmer_devices::virtio::block::{Block, BlockConfig, Job, SECTOR, Work};
use dimmer_devices::virtio::console::{Console, PortOutput};
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::net::{self, Net, NetConfig};
use dimmer_devices::virtio::pmem::{self, Pmem};
use dimmer_devices::virtio::rng::Rng;
use dimmer_devices::virtio::vsock::{Header, LONGEST, Vsock};
use dimmer_devices::virtio_mem::{VirtioMem, VirtioMemConfig};

use crate::guest::Guest;
use crate::host::{Host, Silence, UNIT, outside};

const SECTORS: u64 = 64;

pub fn rng(bytes: &[u8]) {
    let make = || {
        let source = |bytes: &mut [u8]| {
            bytes.fill(0x5a);
            !bytes.len().is_multiple_of(3)
        };
        Rng::new(Box::new(source), Box::new(|| {}))
    };
    Guest::new(make).live(bytes, |_, _, _| Ok(()));
}

pub fn balloon(bytes: &[u8]) {
    let make = || {
        let config =
            BalloonConfig { target: 7, deflate_on_oom: true, free_page_reporting: true, statistics: Some(1) };
        Balloon::new(config, Arc::<Host>::default(), Arc::new(Silence))
    };
    Guest::new(make).live(bytes, |balloon, input, _| {
        match input.int_in_range(0_u8..=3)? {
            0 => balloon.set_target(input.arbitrary()?),
            1 => balloon.set_interval(input.arbitrary()?),
            2 => balloon.alarm(QUEUES),
            _ => balloon.alarm(STATISTICS),
        }
        Ok(())
    });
}

/// Takes a few bytes of all that is offered, now and then none.
#[derive(Debug, Default)]
struct Narrow(usize);

impl PortOutput for Narrow {
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.0 += 1;
        bytes.len().min(self.0 % 4 * 50)
    }
}

pub fn console(bytes: &[u8]) {
    let make = || Console::new("dimmer.agent", Box::<Narrow>::default(), Box::new(|| {}));
    Guest::new(make).live(bytes, |console, input, _| {
        match input.int_in_range(0_u8..=2)? {
            0 => console.set_host_open(input.arbitrary()?),
            1 => console.carry_on(),
            _ => {
                let bytes =
                    input.bytes(usize::from(input.peek_bytes(1).map_or(0, |one| one[0])).min(input.len()))?;
                let taken = console.receive(bytes);
                assert!(taken <= bytes.len(), "{taken} of {} bytes were taken", bytes.len());
            }
        }
        Ok(())
    });
}

pub fn block(bytes: &[u8]) {
    let make = || {
        let config = BlockConfig { sectors: SECTORS, readonly: false, serial: "disk".to_owned() };
        Block::new(config, Box::new(|| {}))
    };
    let (mut jobs, mut seen): (Vec<Job>, u32) = (Vec::new(), 0);
    Guest::new(make).live(bytes, |disk, input, moves| {
        // Jobs are of the device that gave them.
        if std::mem::replace(&mut seen, moves) != moves {
            jobs.clear();
        }
        if input.arbitrary()? || jobs.is_empty() {
            let job = disk.take();
            job.iter().for_each(check_job);
            jobs.extend(job);
            return Ok(());
        }
        let job = jobs.swap_remove(input.choose_index(jobs.len())?);
        let result = match &job.work {
            _ if input.ratio(1_u8, 5_u8)? => Err(()),
            Work::Read(part) => {
                Ok(vec![0xa5; usize::try_from(part.end - part.start).expect("it is on the disk")])
            }
            _ => Ok(Vec::new()),
        };
        disk.answer(&job, &result);
        Ok(())
    });
}

fn check_job(job: &Job) {
    let part = match &job.work {
        Work::Read(part) | Work::Discard(part) | Work::Zero { part, .. } => part.clone(),
        Work::Write { place, bytes } => *place..*place + bytes.len() as u64,
        Work::Flush | Work::Say(_) | Work::Refuse(_) => return,
    };
    let whole = part.start % SECTOR == 0 && part.end % SECTOR == 0;
    assert!(whole && part.start <= part.end && part.end <= SECTORS * SECTOR, "{job:?} leaves the disk");
}

pub fn pmem(bytes: &[u8]) {
    let make = || Pmem::new(GuestRange::new(START, BLOCKS * UNIT), Box::new(|| {}));
    let (mut jobs, mut seen): (Vec<pmem::Job>, u32) = (Vec::new(), 0);
    Guest::new(make).live(bytes, |device, input, moves| {
        // Jobs are of the device that gave them.
        if std::mem::replace(&mut seen, moves) != moves {
            jobs.clear();
        }
        if input.arbitrary()? || jobs.is_empty() {
            jobs.extend(device.take());
            return Ok(());
        }
        let job = jobs.swap_remove(input.choose_index(jobs.len())?);
        device.answer(&job, input.arbitrary()?);
        Ok(())
    });
}

pub fn net(bytes: &[u8]) {
    let make =
        || Net::new(NetConfig { mac: [2, 0, 0, 0, 0, 1], mtu: Some(1500), offloads: true }, Box::new(|| {}));
    Guest::new(make).live(bytes, |card, input, _| {
        match input.int_in_range(0_u8..=2)? {
            0 => card.set_up(input.arbitrary()?),
            1 => {
                let frame = card.sent();
                let fits =
                    |frame: &Vec<u8>| (net::HEADER + 1..=net::HEADER + net::LONGEST).contains(&frame.len());
                assert!(frame.as_ref().is_none_or(fits), "a frame of no length that there is: {frame:?}");
            }
            _ => {
                let mut frame = vec![0; net::HEADER + usize::from(input.int_in_range(1_u16..=1600)?)];
                let known = input.len().min(64).min(frame.len());
                input.fill_buffer(&mut frame[..known])?;
                card.deliver(&mut frame);
            }
        }
        Ok(())
    });
}

pub fn vsock(bytes: &[u8]) {
    Guest::new(|| Vsock::new(3, Box::new(|| {}))).live(bytes, |socket, input, _| {
        if input.arbitrary()? {
            if let Some(packet) = socket.sent() {
                assert_eq!(
                    packet.header.length.get() as usize,
                    packet.data.len(),
                    "a packet without its data"
                );
                assert!(packet.data.len() <= LONGEST, "a packet of {} bytes", packet.data.len());
            }
            return Ok(());
        }
        let data = vec![7; usize::from(input.arbitrary::<u16>()? & 0xfff)];
        let length = u32::try_from(data.len()).expect("a small number").into();
        let taken = socket.deliver(Header { length, ..Header::default() }, &data);
        assert!(
            taken.is_none_or(|taken| taken <= data.len()),
            "{taken:?} of {} bytes were taken",
            data.len()
        );
        Ok(())
    });
}

thread_local! {
    /// The host that the virtio-mem devices of an input share: one takes over from the other.
    static HOST: std::cell::RefCell<Arc<Host>> = std::cell::RefCell::default();
}

/// Places of the device's region.
const START: u64 = 8 << 30;
const BLOCKS: u64 = 64;

pub fn mem(bytes: &[u8]) {
    HOST.take();
    let make = || {
        let region = GuestRange::new(START, BLOCKS * UNIT);
        let id = "vmem0".to_owned();
        let config =
            VirtioMemConfig { id, region, block_size: UNIT, node: 0, requested_size: 0, legacy: false };
        VirtioMem::new(config, outside(&HOST.with_borrow(Arc::clone))).expect("a device that can be")
    };
    let check = |device: &VirtioMmio<VirtioMem>| {
        let (has, holds) = (HOST.with_borrow(|host| host.of("vmem0")), device.device().holding().ranges);
        assert_eq!(holds, has, "the device's books are not the host's");
        assert!(device.status().plugged_size <= BLOCKS * UNIT);
    };
    let mut guest = Guest::new(make);
    guest.live(bytes, |device, input, _| {
        host_of_mem(device, input)?;
        check(device);
        Ok(())
    });
    check(&guest.transport);
}

fn host_of_mem(device: &mut VirtioMmio<VirtioMem>, input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0_u8..=2)? {
        0 => drop(device.request(u64::from(input.int_in_range(0_u8..=80)?) * UNIT)),
        1 => device.alarm(),
        _ => HOST.with_borrow(|host| input.arbitrary().map(|which| host.fail(which)))?,
    }
    Ok(())
}
