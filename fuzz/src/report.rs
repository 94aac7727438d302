//! What is printed at the end.

use std::fmt::Write;

use dimmer_fuzz::Target;

use crate::run::Outcome;

/// A table in Markdown, as `docs/security.md` has it, and what was broken below it.
pub fn table(outcomes: &[(&'static Target, Outcome)]) -> String {
    let mut text = String::from("| target | executions | edges reached | inputs kept |\n|---|---|---|---|\n");
    let mut sum = 0;
    for (target, Outcome { executions, edges, kept, broken }) in outcomes {
        let mark = if broken.is_some() { " **broken**" } else { "" };
        write(
            &mut text,
            format_args!("| {}{mark} | {} | {edges} | {kept} |\n", target.name, grouped(*executions)),
        );
        sum += executions;
    }
    write(&mut text, format_args!("| all | {} | | |\n", grouped(sum)));
    for (target, outcome) in outcomes {
        if let Some((path, reason)) = &outcome.broken {
            let name = target.name;
            write(
                &mut text,
                format_args!(
                    "\n{name}: {reason}\n    cargo run -p dimmer-fuzz -- {name} --input {}\n",
                    path.display()
                ),
            );
        }
    }
    text
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a text takes everything");
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimmer_fuzz::TARGETS;

    #[test]
    fn the_table_has_a_sum_and_what_was_broken() {
        let outcome = Outcome { executions: 1_234_567, edges: 89, kept: 4, broken: None };
        let broken = Outcome { broken: Some(("/x/crash-1".into(), "no".to_owned())), ..outcome.clone() };
        let text = table(&[(&TARGETS[0], outcome), (&TARGETS[1], broken)]);
        assert!(text.contains("| virtio-rng | 1,234,567 | 89 | 4 |"), "{text}");
        assert!(text.contains("| all | 2,469,134 |"), "{text}");
        assert!(text.contains("cargo run -p dimmer-fuzz -- virtio-balloon --input /x/crash-1"), "{text}");
    }
}
