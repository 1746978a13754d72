//! How much memory this process may have.

use std::fs;

/// `limits.memory` where it is 0: three quarters of what there is, bytes.
pub fn default_limit_bytes() -> u64 {
    available_bytes() / 4 * 3
}

/// What the process may have: of the machine's memory and the limits of its control groups (cgroups(7), version
/// 2) the least.
fn available_bytes() -> u64 {
    let read = |path: &str| fs::read_to_string(path).ok();
    // Not from /proc/meminfo, which services may not be shown.
    let machine = rustix::system::sysinfo();
    let machine = (machine.totalram as u64).saturating_mul(machine.mem_unit.into());
    let own = read("/proc/self/cgroup").and_then(|text| own_group(&text).map(str::to_owned));
    let groups = own.iter().flat_map(|own| parents(own));
    let limits =
        groups.filter_map(|group| read(&format!("/sys/fs/cgroup{group}/memory.max"))?.trim().parse().ok());
    limits.fold(machine, u64::min)
}

fn own_group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A group and those above it.
fn parents(group: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(group.trim_end_matches('/')), |group| Some(&group[..group.rfind('/')?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_have_what_those_above_it_may() {
        assert_eq!(
            own_group("1:name=x:/a\n0::/system.slice/flumen.service\n"),
            Some("/system.slice/flumen.service")
        );
        let groups: Vec<_> = parents("/system.slice/flumen.service").collect();
        assert_eq!(groups, ["/system.slice/flumen.service", "/system.slice", ""]);
        assert_eq!(parents("/").collect::<Vec<_>>(), [""]);
        assert!(available_bytes() > 1 << 20);
    }
}
