//! The frames a server sends, whole and unmasked, and those of its clients, masked: appended to the
//! connection's output.

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{MAX_CONTROL, header};

const FIN: u8 = 0x80;
/// In the byte of the length.
const MASKED: u8 = 0x80;

/// Appends a text message; `text` is UTF-8 (the reader's tests rely on it, this does not check it).
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write(out, OpCode::Data(Data::Text), text);
}

/// Appends a ping without a payload.
pub fn write_ping(out: &mut Vec<u8>) {
    write(out, OpCode::Control(Control::Ping), &[]);
}

/// Appends the answer to a ping, with the ping's payload. What is over 125 bytes is cut: no ping
/// carries more.
pub fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, OpCode::Control(Control::Pong), &payload[..payload.len().min(MAX_CONTROL)]);
}

/// Appends a close frame. `reason` is cut to 123 bytes, at a character.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut len = reason.len().min(MAX_CONTROL - 2);
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    let mut payload = [0; MAX_CONTROL];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + len].copy_from_slice(&reason.as_bytes()[..len]);
    write(out, OpCode::Control(Control::Close), &payload[..2 + len]);
}

/// Appends a whole frame as a client sends it.
pub fn write_masked(out: &mut Vec<u8>, opcode: OpCode, mask: [u8; 4], payload: &[u8]) {
    write_head(out, opcode.into(), MASKED, payload.len());
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    // Masking is its own inverse.
    header::unmask(&mut out[start..], mask);
}

/// Appends a whole frame as a server sends it.
pub fn write(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    write_head(out, opcode.into(), 0, payload.len());
    out.extend_from_slice(payload);
}

fn write_head(out: &mut Vec<u8>, opcode: u8, masked: u8, len: usize) {
    out.push(FIN | opcode);
    if len <= MAX_CONTROL {
        out.push(masked | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(masked | 126);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}
