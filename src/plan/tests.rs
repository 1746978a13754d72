//! Plans for machines of all sizes.

use super::*;

fn plan(cores: usize) -> Plan {
    let machine = Machine { cores: (0..cores).collect(), descriptors: usize::MAX };
    Plan::new(&Config::default(), &machine)
}

#[test]
fn two_cores_are_the_kernels_unless_they_are_named() {
    let unnamed = plan(2);
    assert_eq!(
        (&*unnamed.ingest, &*unnamed.parse, &*unnamed.window),
        (&[None][..], &[None][..], &[None][..])
    );
    assert_eq!(unnamed.notes.len(), 1);
    let mut config = Config::default();
    config.threads.cores = vec![4, 5];
    // Parsing gets one of them.
    let named = Plan::new(&config, &Machine { cores: vec![4, 5], descriptors: usize::MAX });
    assert_eq!((named.ingest[0], named.parse[0], named.window[0]), (Some(4), Some(5), Some(4)));
    assert!(named.notes.is_empty());
    assert_eq!(plan(3).parse, [Some(2)]);
}

#[test]
fn sixteen_cores_get_lanes_on_cores_of_their_own() {
    let plan = plan(16);
    assert_eq!((plan.parse.len(), plan.window.len()), (4, 2));
    let mut used: Vec<_> = plan.ingest.iter().chain(&plan.parse).chain(&plan.window).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 10);
}

#[test]
fn sessions_without_a_common_member_are_noted() {
    let mut config = Config::default();
    config.threads.window = 2;
    config.threads.pin = false;
    let notes =
        |config: &Config| Plan::new(config, &Machine { cores: vec![0], descriptors: usize::MAX }).notes.len();
    assert_eq!(notes(&config), 0);
    config.windows[3].group_by.clear();
    assert_eq!(notes(&config), 1);
    config.threads.window = 1;
    assert_eq!(notes(&config), 0);
}

#[test]
fn few_descriptors_are_shared_and_http_keeps_some() {
    let config = Config::default();
    let plan = |descriptors| Plan::new(&config, &Machine { cores: (0..4).collect(), descriptors });
    let ample = plan(65_536);
    assert_eq!((ample.connections, ample.http_connections), (10_000, 1_024));
    assert_eq!(ample.descriptors, 64 + 80 + 10_000 + 4 * 1_024);
    assert!(plan(ample.descriptors).notes.is_empty());
    for most in [0, 100, 256, 1_024, 4_096, ample.descriptors - 1] {
        let few = plan(most);
        let note = few.notes.last().unwrap();
        assert!(note.contains(&format!("at most {} connections", few.connections)), "{note}");
        assert!(few.connections >= 1 && few.http_connections >= 1, "{note}");
        let taken = 64 + 80 + few.connections + 4 * few.http_connections;
        assert!(taken <= most.max(64 + 80 + 5), "{note}");
    }
    let few = plan(1_024);
    assert_eq!((few.connections, few.http_connections), (660, 55));
}

#[test]
fn what_the_machine_or_the_limit_has_no_room_for_is_noted() {
    let notes = |change: fn(&mut Config), cores: usize| {
        let mut config = Config::default();
        change(&mut config);
        let machine = Machine { cores: (0..cores).collect(), descriptors: usize::MAX };
        Plan::new(&config, &machine).notes.join("\n")
    };
    assert_eq!(notes(|_| {}, 4), "");
    let cores = notes(|config| config.threads.cores = vec![0, 7, 1, 900], 4);
    assert!(cores.starts_with("threads.cores names 7, 900, which"), "{cores}");
    let spin = |config: &mut Config| config.threads.idle = Idle::Spin;
    assert!(notes(spin, 3).contains("keeps 4 threads busy, and there are 3 cores"), "{}", notes(spin, 3));
    assert_eq!(notes(spin, 4), "");
    let memory = notes(|config| config.limits.memory = 16 << 20, 4);
    assert!(memory.contains("MiB of the 16 MiB of limits.memory: reading could stop for good"), "{memory}");
}

#[test]
fn no_pinning_and_unknown_cores_still_run() {
    let mut config = Config::default();
    config.threads.pin = false;
    let machine = Machine { cores: vec![0, 1], descriptors: usize::MAX };
    assert_eq!(Plan::new(&config, &machine).parse, [None]);
    assert_eq!(plan(0).parse, [None]);
}
