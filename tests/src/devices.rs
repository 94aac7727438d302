//! Which memory device a block belongs to, from what the machine says of its devices.

use serde_json::Value;

/// Address ranges with the name of their device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices(Vec<(u64, u64, String)>);

impl Devices {
    /// Reads the body of `GET /memory-devices`.
    pub fn read(body: &Value) -> Self {
        let mut ranges = Vec::new();
        for device in body.as_array().into_iter().flatten() {
            let id = device["id"].as_str().unwrap_or_default();
            for range in device["ranges"].as_array().into_iter().flatten() {
                if let (Some(start), Some(size)) = (range["start"].as_u64(), range["size"].as_u64()) {
                    ranges.push((start, start.saturating_add(size), id.to_owned()));
                }
            }
        }
        Self(ranges)
    }

    /// The device that holds block `index`; empty for boot RAM.
    pub fn of_block(&self, index: u64, block_size: u64) -> String {
        let address = index * block_size;
        let found = self.0.iter().find(|(start, end, _)| (*start..*end).contains(&address));
        found.map_or_else(String::new, |(_, _, id)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_block_belongs_to_the_device_that_holds_its_first_byte() {
        let body = json!([
            {"id": "d0", "ranges": [{"start": 0x1000, "size": 0x1000}]},
            {"id": "d1", "ranges": [{"start": 0x2000, "size": 0x2000}, {"start": 0x8000, "size": 0x1000}]},
        ]);
        let devices = Devices::read(&body);
        let names: Vec<_> = (0..10).map(|index| devices.of_block(index, 0x1000)).collect();
        assert_eq!(names, ["", "d0", "d1", "d1", "", "", "", "", "d1", ""]);
    }
}
