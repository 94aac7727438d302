//! Reading /proc/zoneinfo: where each zone lies and how many pages it has.

use crate::report::Zone;

/// The zones in `text`, in its order. Lines that say nothing of a zone's extent are skipped; an
/// empty zone has no `start_pfn` line and starts at 0.
pub fn parse(text: &str) -> Vec<Zone> {
    let mut zones = Vec::new();
    for line in text.lines() {
        match header(line) {
            Some(zone) => zones.push(zone),
            None => {
                if let Some(zone) = zones.last_mut() {
                    fill(zone, line);
                }
            }
        }
    }
    zones
}

/// The zone that a line such as `Node 0, zone   Normal` opens.
fn header(line: &str) -> Option<Zone> {
    let (node, name) = line.strip_prefix("Node ")?.split_once(", zone")?;
    Some(Zone { node: node.trim().parse().ok()?, name: name.trim().to_owned(), ..Zone::default() })
}

/// Takes over the number of a line such as `        spanned  4095` or `  start_pfn:           1`.
fn fill(zone: &mut Zone, line: &str) {
    let mut words = line.split_ascii_whitespace();
    let (Some(name), Some(number), None) = (words.next(), words.next(), words.next()) else { return };
    let field = match name {
        "spanned" => &mut zone.spanned,
        "present" => &mut zone.present,
        "managed" => &mut zone.managed,
        "start_pfn:" => &mut zone.start_pfn,
        _ => return,
    };
    if let Ok(number) = number.parse() {
        *field = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the shape of Linux 6.1, shortened: a zone with node statistics, one without, an empty one.
    const TEXT: &str = "\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 11
      nr_free_cma  0
  pages free     3840
        boost    0
        min      68
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 1968, 1968, 1968, 1968)
      nr_free_pages 3840
  pagesets
    cpu: 0
              count: 0
              high:  0
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone   Normal
  pages free     0
        spanned  524288
        present  524288
        managed  501213
  start_pfn:           1048576
Node 1, zone  Movable
  pages free     0
        boost    0
        spanned  0
        present  0
        managed  0
        cma      0
        protection: (0, 0, 0, 0, 0)
";

    #[test]
    fn extents_of_all_zones_are_read() {
        let zone = |node, name: &str, start_pfn, spanned, present, managed| Zone {
            node,
            name: name.into(),
            start_pfn,
            spanned,
            present,
            managed,
            present_early: None,
        };
        let expected = [
            zone(0, "DMA", 1, 4095, 3998, 3840),
            zone(0, "Normal", 1048576, 524288, 524288, 501213),
            zone(1, "Movable", 0, 0, 0, 0),
        ];
        assert_eq!(parse(TEXT), expected);
    }

    #[test]
    fn text_without_zones_has_none() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("spanned 7\nNode x, zone Normal\n"), []);
    }
}
