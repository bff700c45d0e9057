//! An S3-compatible server that nobody here wrote, with one bucket.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

pub struct Server {
    address: String,
    /// It ends when this is closed.
    input: Option<ChildStdin>,
    child: Child,
}

impl Server {
    /// Starts it, with the bucket `shop`. Nothing when somebody asked for such tests to be left out.
    pub fn start() -> Option<Self> {
        if env::var_os("ULTRAI_SKIP_PEERS").is_some() {
            println!("LEFT OUT: ULTRAI_SKIP_PEERS is set, and this talks to an S3 server");
            return None;
        }
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let found = Command::new(root.join("scripts/s3-server")).output().unwrap();
        let advice = String::from_utf8_lossy(&found.stderr);
        assert!(
            found.status.success(),
            "{advice}or set ULTRAI_SKIP_PEERS=1 to leave such tests out"
        );
        let packages = String::from_utf8(found.stdout).unwrap();
        let mut child = Command::new("python3")
            .arg(root.join("peers/s3/server.py"))
            .env("PYTHONPATH", packages.trim_end())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once("http://").expect("says where it listens");
        let server = Self { address: address.to_owned(), input, child };
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = "HTTP/1.1\r\nHost: s3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        write!(stream, "PUT /shop {head}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Some(server)
    }

    /// `http://127.0.0.1:4010`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ended = self.child.wait();
    }
}
