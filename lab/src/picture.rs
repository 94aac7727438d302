//! A layout as a picture, a letter for each block: `[M][M]…[N]`.

use std::io::IsTerminal;

use crate::expect::Blocks;

/// Blocks in a line.
const LINE: u64 = 16;

/// Whether pictures on standard output are coloured: on a terminal, unless `NO_COLOR` is set; and
/// where `CLICOLOR_FORCE` says that there is a terminal at the other end.
pub fn is_coloured() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    !set("NO_COLOR") && (set("CLICOLOR_FORCE") || std::io::stdout().is_terminal())
}

/// Draws the blocks from `first` on; lines without a block are left out.
pub fn draw(blocks: &Blocks, first: u64, coloured: bool) -> String {
    let mut text = String::new();
    let mut line = first / LINE * LINE;
    while let Some((next, _)) = blocks.range(line.max(first)..).next() {
        line = next / LINE * LINE;
        let cells = (line..line + LINE).map(|index| match blocks.get(&index).filter(|_| index >= first) {
            Some(shows) => cell(shows, coloured),
            None => "   ".to_owned(),
        });
        let cells: String = cells.collect();
        text.push_str(format!("{line:>6}  {}", cells.trim_end()).as_str());
        text.push('\n');
        line += LINE;
    }
    text
}

/// One block: the first letter of its zone, small when it is offline.
fn cell(shows: &str, coloured: bool) -> String {
    let (letter, colour) = match shows.split(['/', ':']).next().unwrap_or_default() {
        "Movable" => ('M', 32),
        "Normal" => ('N', 33),
        "DMA32" | "DMA" => ('D', 36),
        "offline" | "going-offline" => ('o', 90),
        _ => ('-', 90),
    };
    if coloured { format!("\x1b[{colour}m[{letter}]\x1b[0m") } else { format!("[{letter}]") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::parse;

    #[test]
    fn blocks_stand_in_their_columns_and_empty_lines_are_left_out() {
        let blocks = parse("0 none, 17-18 Movable, 20 Normal, 64 offline:Movable/Normal").unwrap();
        let drawn = "    16     [M][M]   [N]\n    64  [o]\n";
        assert_eq!(draw(&blocks, 16, false), drawn);
        assert_eq!(draw(&blocks, 65, false), "");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        let blocks = parse("0 Movable").unwrap();
        assert_eq!(draw(&blocks, 0, true), "     0  \x1b[32m[M]\x1b[0m\n");
    }
}
