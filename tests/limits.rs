//! Limits of the configuration, hit over real sockets: who hits one is told so, it is counted, and everybody
//! else goes on. Those on who may come in are in `doors.rs`.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{Daemon, LAYOUTS, PATIENCE, event, now_s, polite, read_ack, read_close, upgrade, wait_for};
use tungstenite::Message;

/// The beginning of a masked text frame: its header, and of its payload the event and so many spaces.
fn begun(event: &str, len: usize, spaces: usize) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&(len as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(event.as_bytes());
    bytes.resize(bytes.len() + spaces, b' ');
    bytes
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let daemon = Daemon::start(1, 1, "[limits]\nunfinished_size = \"4MiB\"\n");
    let closed = || daemon.metric("flumen_unfinished_messages_closed_total");
    let (len, sent) = (1 << 20, 900_000);
    let mut clients: Vec<_> = (0..12).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
    let event = event("slow", now_s(), 1.0);
    for (n, client) in clients.iter_mut().enumerate() {
        client.get_mut().write_all(&begun(&event, len, sent)).unwrap();
        // Each takes a little less than 1 MiB: there is room for four.
        let bytes = (n + 1) as u64 * sent as u64;
        wait_for("it to be read", || {
            (daemon.stats()["processor"]["bytes_processed"].as_u64() >= Some(bytes)).then_some(())
        });
    }
    wait_for("those over the limit to be closed", || (closed() == 8).then_some(()));
    // Beside them a whole message of that size is no matter, as it does not last.
    let mut quick = daemon.connect("/ws/ingest?ack=1");
    quick.send(Message::text(event.clone() + &" ".repeat(sent))).unwrap();
    assert_eq!(read_ack(&mut quick, 1).1["accepted"], 1);
    // Those whose messages were oldest have gone; those that are left end theirs.
    daemon.wait_said("long in coming in the last 1 s");
    let gone = closed() as usize;
    assert!((8..12).contains(&gone), "{gone}");
    let codes: Vec<_> = clients.drain(..gone).map(|mut client| read_close(&mut client)).collect();
    assert!(codes.iter().all(|code| *code == Some(1013)), "{codes:?}");
    for mut client in clients {
        client.get_mut().write_all(&vec![b' '; len - sent - event.len()]).unwrap();
        assert_eq!(read_ack(&mut client, 1).1["accepted"], 1);
    }
}

#[test]
fn who_neither_sends_nor_answers_a_ping_is_put_out() {
    for (lanes, windows) in LAYOUTS {
        // Long enough for an answer on a slow machine.
        let daemon = Daemon::start(lanes, windows, "[ingest]\nping_interval = \"2s\"\n");
        let mut mute: Vec<_> = (0..3).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
        for socket in &mut mute {
            socket.send(Message::text(event("mute", now_s(), 1.0))).unwrap();
            read_ack(socket, 1);
        }
        let mut answering = daemon.connect("/ws/ingest?ack=1");
        let reader = std::thread::spawn(move || {
            // Reading answers pings. Until the mute ones are out.
            let mut pings = 0;
            while pings < 2 {
                match answering.read().unwrap() {
                    Message::Ping(_) => pings += 1,
                    other => panic!("{other:?}"),
                }
                answering.flush().unwrap();
            }
            answering
        });
        for socket in &mut mute {
            let mut bytes = Vec::new();
            // Beside the library, which would answer.
            socket.get_mut().read_to_end(&mut bytes).unwrap();
            assert!(bytes.starts_with(b"\x89\x00\x88"), "a ping, then a close: {bytes:?}");
            assert_eq!(bytes[4..6], 1001u16.to_be_bytes(), "{bytes:?}");
        }
        assert_eq!(daemon.metric("flumen_connections_silent_closed_total"), 3);
        let mut answering = reader.join().unwrap();
        answering.send(Message::text(event("answers", now_s(), 1.0))).unwrap();
        assert_eq!(read_ack(&mut answering, 1).1["accepted"], 1, "still there");
        assert_eq!(daemon.metric("flumen_connections_silent_closed_total"), 3);
        daemon.wait_said("because nothing came and no answer to a ping");
    }
}

#[test]
fn new_sources_and_groups_come_at_a_pace() {
    let windows_of = "[[window]]\nname = \"all\"\nkind = \"tumbling\"\nsize = \"1h\"\n\
                      [[window]]\nname = \"by-k\"\nkind = \"tumbling\"\nsize = \"1h\"\ngroup_by = [\"k\"]\n";
    for (lanes, windows) in LAYOUTS {
        let config = format!("[limits]\nnew_keys_per_second = 10\n{windows_of}");
        let daemon = Daemon::start(lanes, windows, &config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let batch = |source: &str| {
            let events: Vec<_> = (0..60).map(|n| event(&format!("{source}-{n}"), now_s(), 1.0)).collect();
            Message::text(format!("[{}]", events.join(",")))
        };
        socket.send(batch("a")).unwrap();
        let (errors, ack) = read_ack(&mut socket, 1);
        let accepted = ack["accepted"].as_u64().unwrap();
        // Ten at once, and perhaps some while a slow machine reads the others.
        assert!((10..40).contains(&accepted), "{ack}");
        assert_eq!(errors[0]["code"], "too_many_keys");
        let message = errors[0]["message"].as_str().unwrap();
        assert!(message.contains("limits.new_keys_per_second"), "{message}");
        let rejected = &daemon.stats()["events"]["rejected_by_reason"]["too_many_keys"];
        assert_eq!(*rejected, 60 - accepted);
        assert_eq!(daemon.metric("flumen_events_rejected_total{reason=\"too_many_keys\"}"), 60 - accepted);
        // Who is known goes on, and after a while a new one is.
        let (mut seq, mut before) = (1, accepted);
        let mut send = |text: String| {
            socket.send(Message::text(text)).unwrap();
            seq += 1;
            let all = read_ack(&mut socket, seq).1["accepted"].as_u64().unwrap();
            all - std::mem::replace(&mut before, all)
        };
        assert_eq!(send(event("a-0", now_s(), 1.0)), 1);
        wait_for("a new source to be taken", || (send(event("later", now_s(), 1.0)) == 1).then_some(()));
        // Groups likewise: the event is in the other window.
        let now = now_s();
        let grouped =
            |n: u32| format!(r#"{{"source":"a-0","type":"t","timestamp":{now:.3},"data":{{"k":"{n}"}}}}"#);
        let events: Vec<_> = (0..60).map(grouped).collect();
        assert_eq!(send(format!("[{}]", events.join(","))), 60);
        let lacking = daemon.metric("flumen_window_no_room_events_total{window=\"by-k\"}");
        assert!((20..=50).contains(&lacking), "{lacking}");
        assert_eq!(daemon.metric("flumen_window_no_room_events_total{window=\"all\"}"), 0);
    }
}

#[test]
fn a_message_too_long_is_refused_at_the_header_that_says_so() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "[limits]\nmessage_size = \"1KiB\"\n");
        // Headers alone: one frame of 2^40 bytes, one of a byte too many, and the last of three fragments.
        let frame = |first: u8, len: u16| {
            let mut frame = vec![first, 0x80 | 126];
            frame.extend_from_slice(&len.to_be_bytes());
            frame.extend_from_slice(&[0; 4]);
            frame
        };
        let whole = |first: u8| [frame(first, 500), vec![b' '; 500]].concat();
        let huge = [&[0x82, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]].concat();
        let fragments = [whole(0x02), whole(0x00), frame(0x80, 500)].concat();
        for (n, bytes) in [huge, frame(0x82, 1_025), fragments].into_iter().enumerate() {
            let mut socket = daemon.connect("/ws/ingest?ack=1");
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            read_ack(&mut socket, 1);
            socket.get_mut().write_all(&bytes).unwrap();
            assert_eq!(read_close(&mut socket), Some(1009));
            assert_eq!(daemon.metric("flumen_protocol_violations_total{code=\"1009\"}"), n as u64 + 1);
            polite(&daemon);
        }
        daemon.wait_said("connections were closed for what they sent");
    }
}

#[test]
fn a_frame_too_long_is_refused_though_its_message_is_not() {
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, "[limits]\nframe_size = \"200B\"\n");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        // A message of several frames, each as long as may be.
        let event = format!("{}{}", event("a", now_s(), 1.0), " ".repeat(500));
        let parts: Vec<_> = event.as_bytes().chunks(200).collect();
        for (n, part) in parts.iter().enumerate() {
            let first = u8::from(n == 0) | u8::from(n + 1 == parts.len()) << 7;
            let len = part.len() as u8;
            let head = if len < 126 { vec![first, 0x80 | len] } else { vec![first, 0x80 | 126, 0, len] };
            socket.get_mut().write_all(&[&head[..], &[0; 4], *part].concat()).unwrap();
        }
        read_ack(&mut socket, 1);
        socket.get_mut().write_all(&[0x82, 0x80 | 126, 0, 201, 0, 0, 0, 0]).unwrap();
        assert_eq!(read_close(&mut socket), Some(1009));
        assert_eq!(daemon.metric("flumen_protocol_violations_total{code=\"1009\"}"), 1);
        polite(&daemon);
        daemon.reload("[limits]\nframe_size = 0\n", "limits.frame_size");
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        socket.send(Message::text(event)).unwrap();
        read_ack(&mut socket, 1);
    }
}

/// What a rule takes out takes nobody's place.
#[test]
fn what_is_filtered_uses_up_no_sources() {
    let config = "[limits]\nkeys = 10\nnew_keys_per_second = 10\n[[filter]]\ntype = \"sensor_data\"\nfield = \"value\"\n\
                  min = 100.0\n";
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let junk: Vec<_> = (0..100).map(|n| event(&format!("junk-{n}"), now_s(), 1.0)).collect();
        socket.send(Message::text(format!("[{}]", junk.join(",")))).unwrap();
        let wanted: Vec<_> = (0..5).map(|n| event(&format!("real-{n}"), now_s(), 200.0)).collect();
        socket.send(Message::text(format!("[{}]", wanted.join(",")))).unwrap();
        let ack = read_ack(&mut socket, 2).1;
        assert_eq!((&ack["accepted"], &ack["rejected"]), (&105.into(), &0.into()));
        let events = &daemon.stats()["events"];
        assert_eq!((&events["filtered"], &events["applied"]), (&100.into(), &5.into()), "{events}");
    }
}

#[test]
fn names_are_rejected_and_strings_left_out_when_they_are_too_long() {
    let config = "[limits]\nname_size = 20\nstring_size = 3\n\
                  [[window]]\nname = \"with-k\"\nkind = \"tumbling\"\nsize = \"1h\"\nwhere = \"has(k)\"\n";
    for (lanes, windows) in LAYOUTS {
        let daemon = Daemon::start(lanes, windows, config);
        let mut socket = daemon.connect("/ws/ingest?ack=1");
        let mut seq = 0;
        let mut send = |source: &str, name: &str, k: &str| {
            let now = now_s();
            let data = format!(r#"{{"{name}":1,"k":"{k}"}}"#);
            let event = format!(r#"{{"source":"{source}","type":"t","timestamp":{now:.3},"data":{data}}}"#);
            socket.send(Message::text(event)).unwrap();
            seq += 1;
            read_ack(&mut socket, seq).0
        };
        let (fits, longer) = ("n".repeat(20), "n".repeat(21));
        assert_eq!(send(&fits, &fits, "abc"), [""; 0]);
        for (errors, named) in
            [(send(&longer, &fits, "abc"), "source"), (send(&fits, &longer, "abc"), "the name")]
        {
            assert_eq!((errors.len(), errors[0]["code"].as_str()), (1, Some("too_long")));
            let message = errors[0]["message"].as_str().unwrap();
            assert!(
                message.contains(named) && message.contains("has 21 bytes; limits.name_size"),
                "{message}"
            );
        }
        assert_eq!(daemon.stats()["events"]["rejected_by_reason"]["too_long"], 2);
        assert_eq!(daemon.metric("flumen_events_rejected_total{reason=\"too_long\"}"), 2);
        // The event is read, and has no `k`.
        assert_eq!(send("s", "v", "abcd"), [""; 0]);
        let events = daemon.wait_received(4)["events"].clone();
        assert_eq!((&events["applied"], &events["filtered"]), (&1.into(), &1.into()), "{events}");
        assert_eq!(daemon.metric("flumen_strings_left_out_total"), 1);
        // An `id` that fits, and one that is left out of its event.
        for (id, left_out) in [(&fits, 1), (&longer, 2)] {
            assert_eq!(send(&format!("s\",\"id\":\"{id}"), "v", "abc"), [""; 0]);
            assert_eq!(daemon.metric("flumen_strings_left_out_total"), left_out, "{id}");
        }
        assert_eq!(daemon.wait_received(6)["events"]["applied"], 3);
    }
}

/// Nothing is read meanwhile and nothing else is to be said, so what is told has to go out by itself.
#[test]
fn who_waits_at_the_memory_limit_is_told_so() {
    let config = "[ingest]\nhandshake_timeout = \"2s\"\n";
    let daemon = Daemon::start(1, 1, config);
    let mut socket = daemon.connect("/ws/ingest?ack=1");
    let stopped = format!("{config}[limits]\nmemory = \"1MiB\"\n");
    daemon.reload(&stopped, "no more is read until windows have closed");
    socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
    let said = socket.read().unwrap();
    assert!(said.to_text().unwrap().contains(r#""type":"backpressure""#), "{said}");
    // The whole request is there, and nobody reads it.
    let mut newcomer = TcpStream::connect(daemon.ingest).unwrap();
    newcomer.set_read_timeout(Some(PATIENCE)).unwrap();
    newcomer.write_all(upgrade("/ws/ingest", "").as_bytes()).unwrap();
    let mut answer = String::new();
    newcomer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    daemon.reload(config, "reading goes on after");
    assert_eq!(read_ack(&mut socket, 1).1["accepted"], 1);
    polite(&daemon);
}

/// A daemon that may have descriptors from `soft` to `hard`.
fn with_descriptors(soft: u32, hard: u32, (lanes, windows): (u32, u32), config: &str) -> Daemon {
    let mut command = Command::new("prlimit");
    command.args([&format!("--nofile={soft}:{hard}"), env!("CARGO_BIN_EXE_flumen")]);
    Daemon::start_as(command, config, |command| {
        command
            .args(["--ingest-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .env("FLUMEN_THREADS_INGEST", lanes.to_string())
            .env("FLUMEN_THREADS_WINDOW", windows.to_string());
    })
}

#[test]
fn few_descriptors_mean_fewer_connections_and_http_answers_all_the_same() {
    for layout in LAYOUTS {
        let daemon = with_descriptors(500, 500, layout, "");
        daemon.wait_said("500 descriptors are allowed, and all connections could take");
        let limit = daemon.metric("flumen_connections_limit");
        assert!((100..400).contains(&limit), "{limit}");
        let mut held: Vec<_> = (0..limit).map(|_| daemon.connect("/ws/ingest?ack=1")).collect();
        assert_eq!(read_close(&mut daemon.connect("/ws/ingest")), Some(1013));
        assert_eq!(daemon.metric("flumen_connections_refused_total"), 1);
        // Almost as many HTTP clients as are allowed (those that have asked until now may still be going),
        // and one who asks.
        let http = daemon.metric("flumen_http_connections_limit");
        assert!(http > 10, "{http}");
        let idle: Vec<_> = (4..http).map(|_| TcpStream::connect(daemon.http).unwrap()).collect();
        wait_for("an answer", || (daemon.get("/health").0 == 200).then_some(()));
        for socket in &mut held {
            socket.send(Message::text(event("a", now_s(), 1.0))).unwrap();
            assert_eq!(read_ack(socket, 1).1["accepted"], 1);
        }
        drop(idle);
        for failures in
            ["flumen_accept_errors_total", "flumen_http_accept_errors_total", "flumen_http_unavailable_total"]
        {
            assert_eq!(daemon.metric(failures), 0, "{failures}");
        }
    }
}

#[test]
fn a_low_soft_limit_on_descriptors_is_raised_as_far_as_needed() {
    let config = "[ingest]\nconnections = 900\n[http]\nconnections = 10\n";
    let daemon = with_descriptors(200, 2_000, (1, 1), config);
    assert_eq!(daemon.metric("process_max_fds"), 64 + 80 + 900 + 4 * 10);
    assert_eq!(daemon.metric("flumen_connections_limit"), 900);
    let check =
        Command::new("prlimit").args(["--nofile=500:500", env!("CARGO_BIN_EXE_flumen"), "check"]).output();
    let said = String::from_utf8(check.unwrap().stdout).unwrap();
    assert!(said.contains("note: 500 descriptors are allowed"), "{said}");
}
