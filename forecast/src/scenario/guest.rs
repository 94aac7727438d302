//! How a guest is set up when it boots.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Amount, Distribution, OnlineWord, PolicyWord, Size};

/// How the guest is set up when it boots. Without anything else it puts blocks online as they come, as
/// the policy auto-movable with the kernel's ratio of 301 % says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guest {
    /// The distribution that it has, with systemd, udev and its own kernel's defaults: what the keys here do not say stays as
    /// these have it. Without it, it is the lab's own small guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Packages that the distribution's image has beside those that every one has, and no others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// `memory_hotplug.online_policy`: auto-movable without a word, contig-zones in a distribution
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_policy: Option<PolicyWord>,
    /// `memory_hotplug.auto_movable_ratio`, in percent
    pub auto_movable_ratio: u32,
    /// `memory_hotplug.auto_movable_numa_aware`
    pub auto_movable_numa_aware: bool,
    /// `memhp_default_state`: online without a word, in a distribution what its kernel is configured to
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_online_blocks: Option<OnlineWord>,
    /// `memory_hotplug.memmap_on_memory`
    pub memmap_on_memory: MemmapOnMemory,
    /// `movable_node`
    pub movable_node: bool,
    /// `kernelcore`: the least boot memory that any allocation may use
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernelcore: Option<Amount>,
    /// `movablecore`: boot memory that movable allocations alone may use
    #[serde(skip_serializing_if = "Option::is_none")]
    pub movablecore: Option<Amount>,
    /// `mem`: where boot memory ends for the kernel; what comes later may lie behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<Size>,
    /// `crashkernel`: memory that is set aside for a kernel that is started when this one panics
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashkernel: Option<Size>,
    /// `hugepagesz` and `hugepages`: huge pages that are set aside
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<HugePages>,
    /// Whether the kernel lays out its address space at random (KASLR). It then boots from its bzImage, which does that,
    /// rather than from a vmlinux.
    pub kaslr: bool,
    /// Whether its kernel must know machine checks and broken pages. Debian's 5.10 and 6.1 for clouds do not; their
    /// general ones are booted instead.
    pub machine_checks: bool,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            distribution: None,
            packages: Vec::new(),
            online_policy: None,
            auto_movable_ratio: 301,
            auto_movable_numa_aware: true,
            auto_online_blocks: None,
            memmap_on_memory: MemmapOnMemory::Off,
            movable_node: false,
            kernelcore: None,
            movablecore: None,
            mem: None,
            crashkernel: None,
            hugepages: None,
            kaslr: false,
            machine_checks: false,
        }
    }
}

impl Guest {
    /// The settings that only a boot can change; all others as by default.
    #[must_use]
    pub fn without_what_can_change(&self) -> Self {
        let Self { online_policy, auto_movable_ratio, auto_movable_numa_aware, auto_online_blocks, .. } =
            Self::default();
        Self {
            online_policy,
            auto_movable_ratio,
            auto_movable_numa_aware,
            auto_online_blocks,
            ..self.clone()
        }
    }

    /// The kernel parameters that it is made of.
    pub fn cmdline(&self) -> String {
        let yes_no = |on: bool| if on { "Y" } else { "N" };
        let mut words = Vec::new();
        // What a distribution's kernel has without a word stays as that has it.
        let own = self.distribution.is_some();
        if !own || self.auto_online_blocks.is_some() {
            words.push(format!("memhp_default_state={}", self.auto_online(OnlineWord::Online).word()));
        }
        if !own || self.online_policy.is_some() {
            words.push(format!("memory_hotplug.online_policy={}", self.policy().word()));
        }
        words.extend([
            format!("memory_hotplug.auto_movable_ratio={}", self.auto_movable_ratio),
            format!("memory_hotplug.auto_movable_numa_aware={}", yes_no(self.auto_movable_numa_aware)),
        ]);
        if let Some(word) = self.memmap_on_memory.word() {
            words.push(format!("memory_hotplug.memmap_on_memory={word}"));
        }
        words.extend(self.movable_node.then(|| "movable_node".to_owned()));
        for (name, amount) in [("kernelcore", &self.kernelcore), ("movablecore", &self.movablecore)] {
            words.extend(amount.iter().map(|amount| format!("{name}={}", amount.text())));
        }
        for (name, size) in [("mem", self.mem), ("crashkernel", self.crashkernel)] {
            words.extend(size.map(|size| format!("{name}={size}")));
        }
        words.extend(
            self.hugepages.map(|HugePages { size, count }| format!("hugepagesz={size} hugepages={count}")),
        );
        words.join(" ")
    }
}

/// Huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HugePages {
    /// The size of one: 2M or 1G.
    pub size: Size,
    /// How many.
    pub count: u64,
}

/// `memory_hotplug.memmap_on_memory`: in a file `true`, `false`, or `"force"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemmapOnMemory {
    /// Memmaps come from memory that is there.
    #[default]
    Off,
    /// Devices hold their own ones, where that wastes nothing.
    On,
    /// Also where it does. Releases before 6.6 do not know it, and leave it off.
    Force,
}

impl MemmapOnMemory {
    /// As the kernel reads it; nothing when it is off.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::On => Some("Y"),
            Self::Force => Some("force"),
        }
    }
}

impl Serialize for MemmapOnMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Force => serializer.serialize_str("force"),
            switch => serializer.serialize_bool(*switch == Self::On),
        }
    }
}

impl<'de> Deserialize<'de> for MemmapOnMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "memmap_on_memory must be true, false or \"force\"")]
        enum Given {
            Switch(bool),
            Word(Word),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Word {
            Force,
        }
        Ok(match Given::deserialize(deserializer)? {
            Given::Switch(true) => Self::On,
            Given::Switch(false) => Self::Off,
            Given::Word(Word::Force) => Self::Force,
        })
    }
}

impl JsonSchema for MemmapOnMemory {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MemmapOnMemory".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Whether devices hold their own memmap; `\"force\"` also where that wastes memory (since 6.6).",
            "anyOf": [
                {"type": "boolean", "description": "Off, or on."},
                {"const": "force", "description": "On, also where that wastes memory. Releases before 6.6 leave it off."}
            ]
        })
    }
}
