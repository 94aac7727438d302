//! Guest memory from the host's pools of huge pages, and what happens when a pool runs dry.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use crate::backing::{setup, use_memory};
use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("hugetlb":
    pages_of_2_mib,
    a_page_of_1_gib,
    a_pool_that_is_too_small_for_boot_ram,
    a_child_has_pages_of_its_own,
);

/// The pools are the whole host's: one test at a time.
static POOLS: Mutex<()> = Mutex::new(());

/// A pool of huge pages, as large as the test made it until the test ends.
pub struct Pool {
    dir: PathBuf,
    before: u64,
    _turn: MutexGuard<'static, ()>,
}

impl Pool {
    /// The pool of pages of this size.
    pub fn new(page: u64) -> Result<Self, Box<dyn Error>> {
        let turn = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = PathBuf::from(format!("/sys/kernel/mm/hugepages/hugepages-{}kB", page >> 10));
        let before = number(&dir, "nr_hugepages")?;
        Ok(Self { dir, before, _turn: turn })
    }

    /// Pages that nobody has or has set aside.
    fn free(&self) -> Result<u64, Box<dyn Error>> {
        Ok(number(&self.dir, "free_hugepages")? - number(&self.dir, "resv_hugepages")?)
    }

    /// Waits until the host, which may have to move what is in the way, has made `pages` in all.
    pub fn resize(&self, pages: u64) -> Outcome {
        let path = self.dir.join("nr_hugepages");
        wait_until(&format!("{pages} pages in {}", path.display()), || {
            fs::write(&path, pages.to_string())
                .map_err(|error| format!("{}: {error}; this test is for root", path.display()))?;
            Ok(number(&self.dir, "nr_hugepages")? == pages)
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Err(error) = self.resize(self.before) {
            eprintln!("{error}");
        }
    }
}

fn number(pool: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
    let path = pool.join(name);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().parse()?)
}

/// The answers that the driver of "m" got, latest last.
fn answers(vm: &TestVm) -> Result<Vec<String>, Box<dyn Error>> {
    let requests = vm.rest.requests("m")?;
    Ok(requests
        .iter()
        .map(|request| format!("{}: {}", request["request"], request["response"]).replace('"', ""))
        .collect())
}

fn wait_for_answer(vm: &TestVm, answer: &str) -> Outcome {
    wait_until(&format!("the answer {answer:?}"), || Ok(answers(vm)?.iter().any(|found| found == answer)))
}

/// Boot RAM takes 256 pages, and 64 are left for 128 MiB more.
fn pages_of_2_mib(kernel: &Kernel) -> Outcome {
    let pool = Pool::new(2 * MIB)?;
    pool.resize(256 + 64)?;
    let mut vm = setup(kernel, "backing=hugetlb").boot()?;
    assert_eq!(pool.free()?, 64);

    let body = json!({"id": "d0", "kind": "dimm", "size": 256 * MIB});
    let answer = vm.rest.ask(Method::POST, "/memory-devices", Some(&body))?;
    assert_eq!(answer.status, 500, "{}", answer.body);
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("128 huge pages of 2 MiB (256 MiB): 64 of its 320 are free"), "{detail}");
    assert_eq!(vm.rest.ask(Method::GET, "/memory-devices/d0", None)?.status, 404);
    assert_eq!(pool.free()?, 64, "nothing is left half done");

    vm.rest.add_dimm("d0", 128 * MIB)?;
    assert_eq!(pool.free()?, 0);
    let body = json!({"requested_size": 128 * MIB});
    assert_eq!(vm.rest.ask(Method::PATCH, "/memory-devices/m", Some(&body))?.status, 202);
    wait_for_answer(&vm, "plug: busy")?;
    assert_eq!(vm.rest.device("m")?["plugged_size"], 0);
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());

    pool.resize(256 + 128)?;
    vm.rest.resize("m", 128 * MIB)?;
    assert_eq!(pool.free()?, 0);
    vm.settled()?;
    use_memory(&mut vm)?;
    vm.rest.resize("m", 0)?;
    assert_eq!(pool.free()?, 64);
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(pool.free()?, 128);
    Ok(())
}

fn a_page_of_1_gib(kernel: &Kernel) -> Outcome {
    let pool = Pool::new(GIB)?;
    pool.resize(1)?;
    let arguments = "--memory size=1G,backing=hugetlb,page=1G --memory-hotplug method=acpi,slots=1,size=4G \
        --memory-hotplug method=virtio-mem,id=m,size=4G,block=1G";
    let vm = Setup::new(kernel).arguments(arguments).boot()?;
    assert_eq!(pool.free()?, 0);
    let body = json!({"id": "d0", "kind": "dimm", "size": GIB});
    let answer = vm.rest.ask(Method::POST, "/memory-devices", Some(&body))?;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("1 huge pages of 1 GiB (1 GiB): 0 of its 1 are free"), "{detail}");
    vm.rest.ask(Method::PATCH, "/memory-devices/m", Some(&json!({"requested_size": GIB})))?;
    wait_for_answer(&vm, "plug: busy")
}

/// The machine ends with an error that says what to do, and not with a signal.
fn a_pool_that_is_too_small_for_boot_ram(kernel: &Kernel) -> Outcome {
    let pool = Pool::new(2 * MIB)?;
    pool.resize(8)?;
    let error =
        setup(kernel, "backing=hugetlb").boot().map(drop).expect_err("there are too few pages").to_string();
    assert!(
        error.contains("the host cannot give 256 huge pages of 2 MiB (512 MiB): 8 of its 8 are free"),
        "{error}"
    );
    assert_eq!(pool.free()?, 8);
    Ok(())
}

/// Huge pages cannot be shared until one writes: a child needs as many as its parent has, or is refused.
fn a_child_has_pages_of_its_own(kernel: &Kernel) -> Outcome {
    let pool = Pool::new(2 * MIB)?;
    pool.resize(256 + 64 + 8)?;
    let mut vm = setup(kernel, "backing=hugetlb").boot()?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    vm.shell("echo parent > /tmp/who")?;
    let error = vm.fork().map(drop).expect_err("there are too few pages").to_string();
    assert!(error.contains("256 huge pages of 2 MiB (512 MiB): 8 of its 328 are free"), "{error}");
    assert_eq!(pool.free()?, 8, "nothing is left half done");
    pool.resize(2 * (256 + 64))?;
    let mut child = vm.fork()?;
    assert_eq!(pool.free()?, 0);
    assert_eq!(child.shell("cat /tmp/who; echo child > /tmp/who")?, "parent\n");
    use_memory(&mut child)?;
    assert_eq!(vm.shell("cat /tmp/who")?, "parent\n");
    assert_eq!(child.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(pool.free()?, 64);
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    Ok(())
}
