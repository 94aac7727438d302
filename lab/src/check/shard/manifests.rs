//! The manifests in `docs/shards`, read by parsers of their formats, and what they set read as a run would read it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::*;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/shards").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// The shares that runs with these variables take.
fn shares(runs: &[Vec<(&str, String)>]) -> Vec<String> {
    let share = |variables: &Vec<(&str, String)>| {
        let look =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        Shard::from_environment(look).unwrap().unwrap().shard.to_string()
    };
    runs.iter().map(share).collect()
}

fn all(count: usize) -> Vec<String> {
    (1..=count).map(|share| format!("{share}/{count}")).collect()
}

/// Whether this binary's `check` is run with these words.
fn checks(words: &[&str]) -> bool {
    words.starts_with(&["dimmer-lab", "check", "--format", "junit", "--output"]) && words.len() == 6
}

#[test]
fn kubernetes_gives_each_pod_of_an_indexed_job_a_share() {
    let job: Value = serde_saphyr::from_str(&text("kubernetes.yaml")).unwrap();
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    let count = usize::try_from(spec["completions"].as_u64().unwrap()).unwrap();
    let container = &spec["template"]["spec"]["containers"][0];
    let words: Vec<&str> =
        container["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(checks(&words), "{words:?}");
    let set = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == COUNT).unwrap();
    let value = set["value"].as_str().expect("the value of a variable is a text").to_owned();
    let run = |index: usize| vec![(KUBERNETES, index.to_string()), (COUNT, value.clone())];
    assert_eq!(shares(&(0..count).map(run).collect::<Vec<_>>()), all(count));
    let mounted = container["volumeMounts"].as_array().unwrap().iter().map(|mount| &mount["name"]);
    let volumes: Vec<_> = spec["template"]["spec"]["volumes"].as_array().unwrap().iter().collect();
    assert!(mounted.into_iter().all(|name| volumes.iter().any(|volume| volume["name"] == *name)));
}

#[test]
fn slurm_gives_each_job_of_an_array_a_share() {
    let text = text("slurm.sh");
    let status = Command::new("sh").arg("-n").arg(path("slurm.sh")).status().unwrap();
    assert!(status.success(), "a shell reads it");
    let option = |name: &str| text.lines().find_map(|line| line.strip_prefix("#SBATCH ")?.strip_prefix(name));
    let (first, last) = option("--array=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let run = |id: usize| {
        let count = (last + 1 - first).to_string();
        let (min, array) = ("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT");
        vec![(SLURM, id.to_string()), (min, first.to_string()), (array, count)]
    };
    assert_eq!(shares(&(first..=last).map(run).collect::<Vec<_>>()), all(last + 1 - first));
    let command = text.lines().find_map(|line| line.strip_prefix("exec ")).unwrap();
    assert!(checks(&command.split_whitespace().collect::<Vec<_>>()), "{command}");
    let before =
        text.lines().take_while(|line| line.starts_with('#')).filter(|line| line.starts_with("#SBATCH"));
    assert_eq!(before.count(), text.matches("#SBATCH").count(), "sbatch stops reading at the first command");
}

#[test]
fn github_gives_each_job_of_a_matrix_a_share() {
    let workflow: Value = serde_saphyr::from_str(&text("github.yaml")).unwrap();
    let job = &workflow["jobs"]["check"];
    let count = job["strategy"]["matrix"]["share"].as_array().unwrap().len();
    // The two expressions that GitHub documents for this; it counts from 0.
    assert_eq!(job["env"][INDEX], "${{ strategy.job-index }}");
    assert_eq!(job["env"][COUNT], "${{ strategy.job-total }}");
    let run = |index: usize| vec![(INDEX, index.to_string()), (COUNT, count.to_string())];
    assert_eq!(shares(&(0..count).map(run).collect::<Vec<_>>()), all(count));
    let steps = job["steps"].as_array().unwrap();
    let run = steps.iter().find_map(|step| step["run"].as_str()).unwrap();
    let words: Vec<&str> = run.split(" -- ").nth(1).unwrap().split_whitespace().collect();
    assert!(checks(&[&["dimmer-lab"], &words[..]].concat()), "{run}");
}
