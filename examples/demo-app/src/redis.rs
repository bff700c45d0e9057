//! As much of Redis's protocol as a health check and a counter need.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    time::timeout,
};

use crate::Address;

/// Longest wait for a connection and for an answer: a health check asks at least every few seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Longest string that is read; a counter has 20 digits at most.
const LONGEST_STRING: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(String),
    Integer(i64),
    Text(Vec<u8>),
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Connection(BufStream<TcpStream>);

impl Connection {
    /// Connects, gives the password where the address has one and selects its database.
    pub(crate) async fn open(address: &Address) -> io::Result<Self> {
        within(Self::open_unbounded(address)).await
    }

    /// Sends one command and reads its reply; an error reply is an error.
    pub(crate) async fn call(&mut self, command: &[&str]) -> io::Result<Reply> {
        within(self.call_unbounded(command)).await
    }

    async fn open_unbounded(address: &Address) -> io::Result<Self> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        let mut connection = Self(BufStream::new(stream));
        if let Some(password) = address.password() {
            connection.call_unbounded(&["AUTH", password]).await?;
        }
        if !matches!(address.path.as_str(), "" | "0") {
            connection.call_unbounded(&["SELECT", &address.path]).await?;
        }
        Ok(connection)
    }

    async fn call_unbounded(&mut self, command: &[&str]) -> io::Result<Reply> {
        self.0.write_all(&encode(command)).await?;
        self.0.flush().await?;
        self.reply().await
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        (&mut self.0).take(LONGEST_STRING as u64).read_line(&mut line).await?;
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "Redis hung up"));
        };
        match line.split_at_checked(1) {
            Some(("+", status)) => Ok(Reply::Status(status.to_owned())),
            Some(("-", error)) => Err(io::Error::other(format!("Redis: {error}"))),
            Some((":", number)) => Ok(Reply::Integer(number.parse().map_err(|_| unexpected())?)),
            Some(("$", "-1")) => Ok(Reply::Nothing),
            Some(("$", length)) => {
                let length: usize = length.parse().map_err(|_| unexpected())?;
                if length > LONGEST_STRING {
                    return Err(unexpected());
                }
                let mut text = vec![0; length + 2];
                self.0.read_exact(&mut text).await?;
                text.truncate(length);
                Ok(Reply::Text(text))
            }
            _ => Err(unexpected()),
        }
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

pub(crate) fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer that Redis should not give")
}

fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::Config;

    async fn answered(answer: &'static [u8]) -> io::Result<Reply> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let uri = format!("redis://127.0.0.1:{port}");
        let address = Config::from_vars([("REDIS_URI".to_owned(), uri)]).unwrap().redis.unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 14];
            stream.read_exact(&mut request).await?;
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(answer).await
        };
        let client = async { Connection::open(&address).await?.call(&["PING"]).await };
        tokio::try_join!(server, client).map(|((), reply)| reply)
    }

    #[tokio::test]
    async fn reads_every_kind_of_reply() {
        assert_eq!(answered(b"+PONG\r\n").await.unwrap(), Reply::Status("PONG".to_owned()));
        assert_eq!(answered(b":42\r\n").await.unwrap(), Reply::Integer(42));
        assert_eq!(answered(b"$2\r\n17\r\n").await.unwrap(), Reply::Text(b"17".to_vec()));
        assert_eq!(answered(b"$-1\r\n").await.unwrap(), Reply::Nothing);
    }

    #[tokio::test]
    async fn an_error_or_half_an_answer_is_an_error() {
        let error = answered(b"-NOAUTH Authentication required.\r\n").await.unwrap_err();
        assert_eq!(error.to_string(), "Redis: NOAUTH Authentication required.");
        assert_eq!(answered(b"+PO").await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(answered(b"$99999999\r\n").await.is_err());
    }
}
