//! The SLIT: relative distances between nodes (ACPI 6.5, section 5.2.17).

use crate::platform::Platform;
use crate::table::table;

/// The SLIT: the number of nodes, then the matrix row by row. The two directions between a pair of
/// nodes may differ.
pub(crate) fn slit(platform: &Platform) -> Vec<u8> {
    let nodes = platform.distances.len();
    let mut body = (nodes as u64).to_le_bytes().to_vec();
    for row in &platform.distances {
        assert_eq!(row.len(), nodes, "the distance matrix is square");
        body.extend(row);
    }
    table(*b"SLIT", 1, &body)
}
