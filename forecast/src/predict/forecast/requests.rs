//! What a driver asked for, in words: requests that go on where the one before ended are told as one.

use std::ops::Range;

use dimmer_oracle::virtio_mem::Request;

/// Up to so many requests are told one by one.
const FEW: usize = 3;

/// Where a request lies from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// The requests, oldest first.
pub fn text(requests: &[Request]) -> String {
    let mut texts = Vec::new();
    for (run, way) in runs(requests) {
        let (first, last) = (&requests[run.start], &requests[run.end - 1]);
        match way {
            Some(way) if run.len() > FEW => {
                let way = if way == Way::Up { "up" } else { "down" };
                texts.push(format!("{first} and {way} to {last}, {} requests", run.len()));
            }
            _ => texts.extend(requests[run].iter().map(ToString::to_string)),
        }
    }
    texts.join(", ")
}

/// Runs of requests of one kind and size that lie next to each other, all in one direction.
fn runs(requests: &[Request]) -> Vec<(Range<usize>, Option<Way>)> {
    let mut runs: Vec<(Range<usize>, Option<Way>)> = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let next = number.checked_sub(1).and_then(|before| way(&requests[before], request));
        match runs.last_mut() {
            Some((run, way)) if next.is_some() && (way.is_none() || *way == next) => {
                (run.end, *way) = (number + 1, next);
            }
            _ => runs.push((number..number + 1, None)),
        }
    }
    runs
}

fn way(before: &Request, request: &Request) -> Option<Way> {
    match (before, request) {
        (Request::Plug(before), Request::Plug(range)) | (Request::Unplug(before), Request::Unplug(range)) => {
            let alike = before.end - before.start == range.end - range.start;
            let up = (before.end == range.start).then_some(Way::Up);
            up.or((range.end == before.start).then_some(Way::Down)).filter(|_| alike)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn plug(first: u64, size: u64) -> Request {
        Request::Plug(first * MIB..(first + size) * MIB)
    }

    #[test]
    fn a_few_requests_are_told_one_by_one_and_more_as_one() {
        let mut requests: Vec<_> = (0..3).map(|number| plug(4096 + 128 * number, 128)).collect();
        assert_eq!(text(&requests), "plug 0x100000000+128M, plug 0x108000000+128M, plug 0x110000000+128M");
        requests.push(plug(4096 + 3 * 128, 128));
        assert_eq!(text(&requests), "plug 0x100000000+128M and up to plug 0x118000000+128M, 4 requests");
        requests.reverse();
        assert_eq!(text(&requests), "plug 0x118000000+128M and down to plug 0x100000000+128M, 4 requests");
    }

    #[test]
    fn another_kind_size_direction_or_place_ends_a_run() {
        let run: Vec<_> = (0..4).map(|number| plug(4 * number, 4)).collect();
        let whole = "plug 0x0+4M and up to plug 0xc00000+4M, 4 requests";
        for (next, shown) in [
            (Request::Unplug(16 * MIB..20 * MIB), "unplug 0x1000000+4M"),
            (plug(16, 2), "plug 0x1000000+2M"),
            (plug(8, 4), "plug 0x800000+4M"),
            (plug(20, 4), "plug 0x1400000+4M"),
            (Request::UnplugAll, "unplug all"),
        ] {
            let requests = [run.clone(), vec![next]].concat();
            assert_eq!(text(&requests), format!("{whole}, {shown}"));
        }
        assert_eq!(text(&[]), "");
    }
}
