//! As much of a terminal as the map makes use of: letters, moves of the cursor, clearing.

/// What a terminal shows.
pub struct Screen {
    lines: Vec<Vec<char>>,
    /// Column and line of the cursor.
    place: (usize, usize),
    /// The beginning of a letter or a sequence whose end has not come yet.
    rest: Vec<u8>,
    /// Whether the screen of before was put back last.
    restored: bool,
}

impl Screen {
    /// An empty one of so many columns and lines.
    pub fn new((width, height): (u16, u16)) -> Self {
        let lines = vec![vec![' '; width.into()]; height.into()];
        Self { lines, place: (0, 0), rest: Vec::new(), restored: false }
    }

    /// All lines.
    pub fn text(&self) -> String {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned() + "\n";
        self.lines.iter().map(line).collect()
    }

    /// Whether the other screen was left.
    pub const fn is_restored(&self) -> bool {
        self.restored
    }

    /// Takes output of a program.
    pub fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]).into_owned();
        let mut left = text.as_str();
        while let Some(letter) = left.chars().next() {
            if letter == '\x1b' {
                let Some(length) = sequence(left) else { break };
                self.obey(&left[..length]);
                left = &left[length..];
                continue;
            }
            self.put(letter);
            left = &left[letter.len_utf8()..];
        }
        self.rest.drain(..whole - left.len());
    }

    fn put(&mut self, letter: char) {
        let (x, y) = self.place;
        match letter {
            '\r' => self.place.0 = 0,
            '\n' => self.place.1 += 1,
            letter if letter.is_control() => {}
            letter => {
                if let Some(cell) = self.lines.get_mut(y).and_then(|line| line.get_mut(x)) {
                    *cell = letter;
                }
                self.place.0 += 1;
            }
        }
    }

    /// Obeys a whole sequence.
    fn obey(&mut self, sequence: &str) {
        let inner = &sequence[1..];
        match inner.chars().last() {
            Some('H') => {
                let numbers = inner.trim_start_matches('[').trim_end_matches('H').split(';');
                let mut numbers =
                    numbers.map(|number| number.parse::<usize>().unwrap_or(1).saturating_sub(1));
                let y = numbers.next().unwrap_or_default();
                self.place = (numbers.next().unwrap_or_default(), y);
            }
            Some('J') => self.lines.iter_mut().for_each(|line| line.fill(' ')),
            _ if inner == "[?1049h" => self.restored = false,
            _ if inner == "[?1049l" => self.restored = true,
            _ => {}
        }
    }
}

/// The length of the sequence that `text` begins with, if it is whole (ECMA-48, section 5.4).
fn sequence(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    match letters.next()? {
        (_, '[') => letters.find(|(_, letter)| ('@'..='~').contains(letter)).map(|(place, _)| place + 1),
        (place, letter) => Some(place + letter.len_utf8()),
    }
}
