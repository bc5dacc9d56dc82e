//! The `process_*` families, and stand-ins for those `jvm_*` families that alerts divide by.

use super::Compat;
use super::family::{Family, Scalar};

/// Numbers of this process; whoever may read `/proc` fills them in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Start of the process, in seconds since 1970.
    pub start_time_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Limit of file descriptors.
    pub max_fds: u64,
    /// Address space, in bytes.
    pub virtual_memory_bytes: u64,
    /// Resident memory, in bytes.
    pub resident_memory_bytes: u64,
    /// What stands for the used heap: bytes in use by the allocator, or resident ones.
    pub memory_used_bytes: u64,
    /// What stands for the largest heap: the limit of the container or of the machine, in bytes.
    pub memory_max_bytes: u64,
    /// Threads now.
    pub threads: u64,
    /// Most threads so far.
    pub threads_peak: u64,
    /// Our version.
    pub version: String,
}

impl ProcessStats {
    /// All families, `process_*` first as simpleclient's `DefaultExports` has them.
    pub(super) fn families(&self, compat: Compat) -> Vec<Family> {
        let mut all = self.process();
        all.extend(self.info(compat));
        all.extend(self.memory(compat));
        all.extend(self.threads());
        all
    }

    fn process(&self) -> Vec<Family> {
        [
            (
                "process_cpu_seconds_total",
                "counter",
                "Total user and system CPU time spent in seconds.",
                self.cpu_seconds,
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                self.start_time_seconds,
            ),
            (
                "process_open_fds",
                "gauge",
                "Number of open file descriptors.",
                self.open_fds as f64,
            ),
            (
                "process_max_fds",
                "gauge",
                "Maximum number of open file descriptors.",
                self.max_fds as f64,
            ),
            (
                "process_virtual_memory_bytes",
                "gauge",
                "Virtual memory size in bytes.",
                self.virtual_memory_bytes as f64,
            ),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                self.resident_memory_bytes as f64,
            ),
        ]
        .map(|(name, kind, help, value)| plain(name, kind, help, value))
        .into()
    }

    fn info(&self, compat: Compat) -> Vec<Family> {
        // 3.10 sorts the labels and prints an integer.
        let mut families = Vec::new();
        let [version, vendor, runtime] = [self.version.as_str(), "Zabra", "Zabra (native)"];
        if compat.has_3_9() {
            let labels = [
                ("version", version),
                ("vendor", vendor),
                ("runtime", runtime),
            ];
            families.push(labelled(
                "jvm_info",
                "JVM version info",
                labels,
                Scalar::Double(1.0),
            ));
        }
        if compat.has_3_10() {
            let labels = [
                ("runtime", runtime),
                ("vendor", vendor),
                ("version", version),
            ];
            let one = Scalar::Integer(1);
            families.push(labelled(
                "jvm_runtime_info",
                "JVM runtime info",
                labels,
                one,
            ));
        }
        families
    }

    fn memory(&self, compat: Compat) -> Vec<Family> {
        let mut families = Vec::new();
        let used = "Used bytes of a given JVM memory area.";
        let max = "Max (bytes) of a given JVM memory area.";
        let mut add = |name, help, bytes: u64| {
            let value = Scalar::Double(bytes as f64);
            families.push(labelled(name, help, [("area", "heap")], value));
        };
        if compat.has_3_9() {
            add("jvm_memory_bytes_used", used, self.memory_used_bytes);
            add("jvm_memory_bytes_max", max, self.memory_max_bytes);
        }
        if compat.has_3_10() {
            add("jvm_memory_used_bytes", used, self.memory_used_bytes);
            add("jvm_memory_max_bytes", max, self.memory_max_bytes);
        }
        families
    }

    fn threads(&self) -> Vec<Family> {
        let deadlocked = "Cycles of JVM-threads that are in deadlock waiting to acquire object \
                          monitors or ownable synchronizers";
        [
            (
                "jvm_threads_current",
                "Current thread count of a JVM",
                self.threads,
            ),
            // All but the main thread.
            (
                "jvm_threads_daemon",
                "Daemon thread count of a JVM",
                self.threads.saturating_sub(1),
            ),
            (
                "jvm_threads_peak",
                "Peak thread count of a JVM",
                self.threads_peak,
            ),
            ("jvm_threads_deadlocked", deadlocked, 0),
        ]
        .map(|(name, help, value)| plain(name, "gauge", help, value as f64))
        .into()
    }
}

fn plain(name: &str, kind: &'static str, help: &str, value: f64) -> Family {
    let mut family = Family::new(name, kind, help);
    family.add("", None, None, Scalar::Double(value));
    family
}

fn labelled<const N: usize>(
    name: &str,
    help: &str,
    labels: [(&'static str, &str); N],
    value: Scalar,
) -> Family {
    let mut family = Family::new(name, "gauge", help);
    let labels = labels.map(|(key, value)| (key, value.to_owned())).into();
    family.add_labelled("", labels, None, value);
    family
}
