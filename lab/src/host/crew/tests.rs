//! Crews of small shell scripts.

use super::*;

fn crew(script: &str, hosts: usize, seats: usize) -> Crew {
    Crew::of(["sh", "-c", script].map(OsString::from).to_vec(), PATIENCE, hosts, seats)
}

/// Answers every order with the process's number.
const ANSWER: &str = r#"while read -r line; do id=${line#*:}; echo "{\"id\":${id%%,*},\"answer\":$$}"; done"#;

#[test]
fn a_host_is_started_once_and_all_its_seats_are_in_it() {
    let crew = crew(ANSWER, 2, 2);
    let process = |seat| crew.carry_out::<_, u32>(seat, &"task").unwrap();
    let first: Vec<u32> = (0..crew.seats()).map(process).collect();
    assert_eq!((first[0], first[2]), (first[1], first[3]));
    assert_ne!(first[0], first[2]);
    assert_eq!((0..crew.seats()).map(process).collect::<Vec<_>>(), first);
}

#[test]
fn a_lost_host_takes_its_task_and_the_next_task_starts_another() {
    let crew = crew(&format!("read -r line; echo \"$line\" | ({ANSWER}); read -r line"), 1, 1);
    let first: u32 = crew.carry_out(0, &1).unwrap();
    assert_eq!(crew.carry_out::<_, u32>(0, &2), Err(Lost("it went away".into())));
    assert_ne!(crew.carry_out::<_, u32>(0, &3).unwrap(), first);
}

#[test]
fn a_silent_host_is_given_up() {
    let crew = Crew { patience: Duration::from_millis(50), ..crew("while read -r line; do :; done", 1, 1) };
    let lost = crew.carry_out::<_, u32>(0, &1).unwrap_err();
    assert!(lost.to_string().contains("said nothing"), "{lost}");
}

#[test]
fn a_worker_that_cannot_start_is_a_lost_host() {
    let crew = Crew::of(vec!["/no/such/program".into()], PATIENCE, 1, 1);
    let lost = crew.carry_out::<_, u32>(0, &1).unwrap_err();
    assert!(lost.to_string().contains("does not start"), "{lost}");
}

#[test]
fn all_tasks_are_carried_out_once_and_known_by_their_numbers() {
    let crew = crew(ANSWER, 2, 2);
    let mut numbers = Vec::new();
    crew.carry_out_all(0..20, |number, result: Result<u32, Lost>| {
        result.unwrap();
        numbers.push(number);
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}
