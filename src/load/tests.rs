use super::*;

#[test]
fn a_late_ack_is_charged_from_the_intended_time() {
    let mut waiting = VecDeque::from([
        Batch { intended_ns: 0, first: 1, last: 10 },
        Batch { intended_ns: 10_000_000, first: 11, last: 20 },
    ]);
    let mut latencies = Histogram::new_with_bounds(1_000, MAX_NS, 3).unwrap();
    acknowledge(&mut waiting, &mut latencies, 4, 5_000_000);
    assert_eq!(latencies.len(), 4);
    acknowledge(&mut waiting, &mut latencies, 20, 1_000_000_000);
    assert!(waiting.is_empty());
    assert_eq!(latencies.len(), 20);
    let near = |a: u64, b: u64| assert!(a.abs_diff(b) < b / 500, "{a} {b}");
    near(latencies.max(), 1_000_000_000);
    near(latencies.min(), 5_000_000);
}

#[test]
fn clients_with_less_than_an_event_a_tick_take_turns() {
    let sent = |tick| (0..100).map(|at| due(tick, 0.01, f64::from(at) / 100.0)).sum::<u64>();
    for tick in 1..=1_000 {
        // One a tick; a fraction that falls on the edge may come a tick later.
        assert!(sent(tick).abs_diff(tick) <= 1, "{} after tick {tick}", sent(tick));
    }
    let whole = |tick, at| due(tick, 3.0, f64::from(at) / 100.0);
    assert!((0..100).all(|at| whole(7, at) == 21));
}

#[test]
fn sources_come_in_turn_over_all_clients() {
    let of = |client, n| source(client, 3, n, 5);
    let first_ten: Vec<_> = (1..=4).flat_map(|n| (0..3).map(move |client| of(client, n))).take(10).collect();
    assert_eq!(first_ten, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert_eq!((source(7, 9, 1, 0), source(7, 9, 100, 0)), (7, 7), "a client is a source");
}

/// What a test's server is to a connection after its handshake.
type Serve = fn(tungstenite::WebSocket<std::net::TcpStream>);

fn text(socket: &mut tungstenite::WebSocket<std::net::TcpStream>) -> bool {
    socket.read().is_ok_and(|message| message.is_text())
}

/// Acknowledges each frame.
fn acknowledges(mut socket: tungstenite::WebSocket<std::net::TcpStream>) {
    let mut frames = 0;
    loop {
        frames += 1;
        let ack = format!(r#"{{"type":"ack","seq":{frames},"accepted":{frames},"rejected":0}}"#);
        if !text(&mut socket) || socket.send(ack.into()).is_err() {
            return;
        }
    }
}

/// Arguments of a short step of two clients, 2.5 events a tick each.
fn two_clients() -> LoadArgs {
    LoadArgs {
        url: String::new(),
        clients: 2,
        rate: 500.0,
        duration: 0.4,
        suite: false,
        batch_ms: 10.0,
        write_each: false,
        sources: 0,
        json: true,
        hgrm: None,
    }
}

/// A step against a server; its report and what it said.
fn step_against(serve: Serve, args: LoadArgs) -> (Report, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/ingest", listener.local_addr().unwrap());
    let clients = args.clients;
    let server = std::thread::spawn(move || {
        let peer = |_| {
            let stream = listener.accept().unwrap().0;
            std::thread::spawn(move || serve(tungstenite::accept(stream).unwrap()))
        };
        let peers: Vec<_> = (0..clients).map(peer).collect();
        peers.into_iter().for_each(|p| p.join().unwrap());
    });
    let mut said = String::new();
    let mut say = |text: String| {
        said.push_str(&text);
        Ok(())
    };
    let mut reports = run(&LoadArgs { url, ..args }, &AtomicBool::new(false), &mut say).unwrap();
    server.join().unwrap();
    (reports.remove(0), said)
}

/// Latencies that were recorded by a step with `--hgrm`.
fn recorded(hgrm: &str) -> u64 {
    let line = hgrm.lines().find_map(|line| line.split_once("Total count    = ")).unwrap();
    line.1.trim_end_matches(']').trim().parse().unwrap()
}

#[test]
fn a_step_against_a_server_that_acknowledges() {
    let (report, said) = step_against(acknowledges, two_clients());
    assert_eq!(report.applied, report.sent);
    assert_eq!((report.unacknowledged, report.connection_errors), (0, 0));
    // 40 ticks of 2.5 events, and half an event of head start for one of them.
    assert_eq!((report.sent, report.intended), (200, 200));
    assert!(report.is_valid());
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json[0]["sent"], &json[0]["valid"]), (&200.into(), &true.into()));
}

#[test]
fn events_that_are_due_together_share_a_write_unless_told_otherwise() {
    let (report, _) = step_against(acknowledges, two_clients());
    assert!(report.writes < report.sent, "{} writes of {} events", report.writes, report.sent);
    let (report, _) = step_against(acknowledges, LoadArgs { write_each: true, ..two_clients() });
    assert_eq!(report.applied, report.sent);
    assert_eq!(report.writes, report.sent);
}

/// It waits for the last acks for as long as a run does.
#[test]
fn a_server_that_never_acknowledges_makes_a_run_void_and_its_latencies_long() {
    let serve: Serve = |mut socket| while text(&mut socket) {};
    let (report, said) = step_against(serve, LoadArgs { json: false, ..two_clients() });
    assert_eq!((report.sent, report.unacknowledged), (200, 200));
    assert!(said.contains("VOID: 200 events were never acknowledged\n"), "{said}");
    assert!(report.percentiles.iter().all(|&(_, ms)| ms >= 5_000.0), "{said}");
}

#[test]
fn lost_connections_make_a_run_void_and_what_was_on_them_has_a_latency() {
    let file = std::env::temp_dir().join(format!("flumen-load-lost-{}", std::process::id()));
    let serve: Serve = |mut socket| {
        let _ = (0..3).all(|_| text(&mut socket));
    };
    let args = LoadArgs { json: false, hgrm: Some(file.clone()), ..two_clients() };
    let (report, said) = step_against(serve, args);
    let hgrm = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!((report.connection_errors, report.intended), (2, 200));
    assert!(report.sent >= 6 && report.unacknowledged == report.sent, "{said}");
    assert_eq!(recorded(&hgrm), report.sent);
    assert!(said.contains("VOID: 2 connections were lost; "), "{said}");
}

/// As the daemon with `ingest.ping_interval`: a client whose pong does not come is put out.
#[test]
fn a_ping_is_answered_before_the_next_event() {
    let serve: Serve = |mut socket| {
        assert!(text(&mut socket));
        socket.send(tungstenite::Message::Ping("?".into())).unwrap();
        assert!(socket.read().unwrap().is_pong());
        socket.send(r#"{"type":"ack","seq":1,"accepted":1,"rejected":0}"#.into()).unwrap();
        acknowledges(socket);
    };
    // One event in the first tick, and the next tick is far away.
    let args = LoadArgs { clients: 1, batch_ms: 60_000.0, rate: 1.0 / 60.0, ..two_clients() };
    let (report, said) = step_against(serve, args);
    assert_eq!((report.sent, report.applied), (1, 1), "{said}");
}

#[test]
fn a_tick_that_is_larger_than_the_backlog_may_be_goes_out_bit_by_bit() {
    let args = LoadArgs { rate: 1_000_000.0, duration: 0.2, batch_ms: 100.0, ..two_clients() };
    let (report, _) = step_against(acknowledges, args);
    assert_eq!((report.intended, report.applied + report.unacknowledged), (200_000, report.sent));
}

#[test]
fn steps_that_were_made_are_said_though_the_next_one_fails() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/ingest", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let sockets: Vec<_> =
            (0..SUITE[0].0).map(|_| tungstenite::accept(listener.accept().unwrap().0).unwrap()).collect();
        drop(listener);
        let peers = sockets.into_iter().map(|socket| std::thread::spawn(move || acknowledges(socket)));
        peers.collect::<Vec<_>>().into_iter().for_each(|peer| peer.join().unwrap());
    });
    let args = LoadArgs { url, suite: true, duration: 0.1, ..two_clients() };
    let mut said = String::new();
    let error = run(&args, &AtomicBool::new(false), &mut |text| {
        said.push_str(&text);
        Ok(())
    });
    server.join().unwrap();
    assert!(matches!(error, Err(RunError::Connect(_))), "{error:?}");
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((json[0]["clients"].as_u64(), json.as_array().unwrap().len()), (Some(10), 1));
}

#[test]
fn flags_that_make_no_sense_are_said() {
    let bad = |args: LoadArgs, expected: &str| {
        let error = run(&args, &AtomicBool::new(false), &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    bad(
        LoadArgs { batch_ms: 1e-7, ..two_clients() },
        "--batch-ms 0.0000001: expected a number from 0.01 to 60000",
    );
    bad(LoadArgs { batch_ms: 60_001.0, ..two_clients() }, "--batch-ms 60001: ");
    bad(LoadArgs { batch_ms: f64::NAN, ..two_clients() }, "--batch-ms NaN: ");
    bad(LoadArgs { duration: f64::NAN, ..two_clients() }, "--duration NaN: expected a number above 0");
    bad(LoadArgs { duration: f64::INFINITY, ..two_clients() }, "--duration inf: ");
    bad(LoadArgs { rate: 1e10, ..two_clients() }, "--rate 10000000000: expected");
}
