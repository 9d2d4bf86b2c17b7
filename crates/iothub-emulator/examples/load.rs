//! How much memory devices take in an emulator, how fast many of them attach over one connection, and how soon the command
//! is ready.
//!
//! ```sh
//! cargo run --release -p iothub-emulator --example load -- connections 10000
//! cargo run --release -p iothub-emulator --example load -- connections 10000 tls
//! cargo run --release -p iothub-emulator --example load -- multiplexed 1000
//! cargo build --release -p iothub-cli && cargo run --release -p iothub-emulator --example load -- start
//! ```
//!
//! `connections` opens one connection for each device, authorised on `$cbs`, with a link for telemetry and one for
//! cloud-to-device messages, and shows what that adds to the resident memory of the emulator, which runs in a process of
//! its own. It needs a file descriptor for each connection (`ulimit -n`). `multiplexed` attaches six links for each device
//! over one connection, each device with its own token. Both need `/proc`. `start` runs `iothub emulator --json`, of the same build or where it
//! is told, and shows how long it takes to the ready line: with a certificate authority that it keeps, and with a new one.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use amqp1::auth::UnixSeconds;
use amqp1::auth::cbs::{PutToken, Reply};
use amqp1::auth::sas::{PercentEncoding, SasKey};
use amqp1::{
    Client, Connection, Receiver, Sender, Session,
    message::{EncodeStyle, MessageId},
    tls::TlsClient,
};
use iothub_emulator::Emulator;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const KEY: &str = "a2V5IG9mIGFsbCBkZXZpY2Vz";
/// Connections that are opened at the same time.
const AT_A_TIME: usize = 64;
/// The most that a connection may add without TLS.
const LIMIT_KIB: f64 = 24.0;
/// The most time that a thousand devices may take to attach.
const LIMIT: Duration = Duration::from_secs(5);
/// How often the command is started.
const STARTS: usize = 20;
/// The most time to the ready line, with an authority that was kept and with a new one.
const READY: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["serve", devices] => serve(devices).await.map(|()| true),
        ["connections", devices] => connections(devices, false).await,
        ["connections", devices, "tls"] => connections(devices, true).await,
        ["multiplexed", devices] => multiplexed(devices).await,
        ["start"] => beside_this().and_then(|iothub| starts(&iothub)),
        ["start", iothub] => starts(Path::new(iothub)),
        _ => Err("connections DEVICES [tls], multiplexed DEVICES, or start [IOTHUB]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The emulator's process: serves until its input ends.
async fn serve(devices: &str) -> Result<(), Failure> {
    let mut builder = Emulator::builder().listen("127.0.0.1:0".parse()?).amqp_listen("127.0.0.1:0".parse()?);
    for number in 0..devices.parse()? {
        builder = builder.device(&device_id(number), KEY);
    }
    let hub = builder.start().await?;
    println!("{} {}", hub.local_addr(), hub.amqp_addr().ok_or("plain AMQP is not served")?);
    println!("{}", hub.ca_pem().replace('\n', "|"));
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await?;
    Ok(())
}

struct Hub {
    process: Child,
    tls: SocketAddr,
    plain: SocketAddr,
    ca: String,
}

impl Hub {
    fn start(devices: &str) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.args(["serve", devices]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let mut line = || lines.next().ok_or("the emulator does not start")?.map_err(Failure::from);
        let (addresses, ca) = (line()?, line()?.replace('|', "\n"));
        let (tls, plain) = addresses.split_once(' ').ok_or("no addresses")?;
        Ok(Self { process, tls: tls.parse()?, plain: plain.parse()?, ca })
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    async fn connect(&self, tls: Option<&TlsClient>) -> Result<Connection, Failure> {
        let (scheme, address) = if tls.is_some() { ("amqps", self.tls) } else { ("amqp", self.plain) };
        let mut client = Client::builder(format!("{scheme}://localhost:{}", address.port()))
            .dial(address.ip().to_string(), address.port())
            .connect_timeout(Duration::from_secs(120));
        if let Some(tls) = tls {
            client = client.tls(tls.clone());
        }
        Ok(client.connect().await?)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Its input ends with it.
        drop(self.process.stdin.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the emulator did not end: {error}");
        }
    }
}

fn device_id(number: usize) -> String {
    format!("device-{number:06}")
}

/// A `$cbs` node of a connection.
struct Cbs {
    requests: Sender,
    answers: Receiver,
    next: u64,
}

impl Cbs {
    async fn open(session: &Session) -> Result<Self, Failure> {
        let requests = session.sender("$cbs").attach().await?;
        let answers = session.receiver("$cbs").attach().await?;
        Ok(Self { requests, answers, next: 0 })
    }

    async fn authorize(&mut self, device: &str) -> Result<(), Failure> {
        self.next += 1;
        let id = MessageId::Ulong(self.next);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let resource = format!("localhost/devices/{device}");
        let token =
            SasKey::from_base64(KEY)?.sign(&resource, PercentEncoding::Component, UnixSeconds::new(now + 3600), None);
        let request = PutToken::sas(resource.as_str(), token.into_secret_text()).encode(&id, EncodeStyle::Compact);
        self.requests.send(request).await?.into_result()?;
        let delivery = self.answers.recv().await?.ok_or("the $cbs link ended")?;
        let reply = Reply::parse(delivery.message())?;
        delivery.accept()?;
        reply.outcome()?;
        Ok(())
    }
}

/// What a device keeps open.
type Open = (Connection, Cbs, Sender, Receiver);

async fn open(hub: &Hub, tls: Option<&TlsClient>, device: &str) -> Result<Open, Failure> {
    let connection = hub.connect(tls).await?;
    let session = connection.begin().await?;
    let mut cbs = Cbs::open(&session).await?;
    cbs.authorize(device).await?;
    let telemetry = session.sender(format!("/devices/{device}/messages/events")).attach().await?;
    let messages = session.receiver(format!("/devices/{device}/messages/devicebound")).attach().await?;
    telemetry.send("21").await?.into_result()?;
    Ok((connection, cbs, telemetry, messages))
}

async fn connections(devices: &str, tls: bool) -> Result<bool, Failure> {
    let hub = Arc::new(Hub::start(devices)?);
    let devices: usize = devices.parse()?;
    let tls = tls.then(|| TlsClient::with_ca_pem(hub.ca.as_bytes())).transpose()?;
    // What the first connections take is not theirs alone.
    let _first = open(&hub, tls.as_ref(), &device_id(0)).await?;
    let before = hub.memory()?;
    let begun = Instant::now();
    let mut kept = Vec::with_capacity(devices);
    let mut opening = JoinSet::new();
    for number in 1..devices {
        if opening.len() == AT_A_TIME {
            kept.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let (hub, tls) = (hub.clone(), tls.clone());
        opening.spawn(async move { open(&hub, tls.as_ref(), &device_id(number)).await });
    }
    while let Some(opened) = opening.join_next().await {
        kept.push(opened??);
    }
    let took = begun.elapsed();
    // The allocator and the tasks come to rest.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (hub.memory()? - before) / kept.len() as f64;
    let over = if tls.is_some() { "with TLS" } else { "without TLS" };
    println!("{} connections {over}: {each:.1} KiB each, opened in {took:.1?}", kept.len());
    Ok(tls.is_some() || each <= LIMIT_KIB)
}

async fn multiplexed(devices: &str) -> Result<bool, Failure> {
    let hub = Hub::start(devices)?;
    let devices: usize = devices.parse()?;
    let connection = hub.connect(None).await?;
    let mut cbs = Cbs::open(&connection.begin().await?).await?;
    let begun = Instant::now();
    let mut attaching = JoinSet::new();
    for number in 0..devices {
        let device = device_id(number);
        cbs.authorize(&device).await?;
        let connection = connection.clone();
        attaching.spawn(async move {
            let session = connection.begin().await?;
            let at = |rest: &str| format!("/devices/{device}/{rest}");
            let senders = [at("messages/events"), at("twin"), at("methods/devicebound")];
            let receivers = [at("messages/devicebound"), at("twin"), at("methods/devicebound")];
            let (mut sending, mut receiving) = (Vec::new(), Vec::new());
            for address in senders {
                sending.push(session.sender(address).attach().await?);
            }
            for address in receivers {
                receiving.push(session.receiver(address).attach().await?);
            }
            Ok::<_, Failure>((sending, receiving))
        });
    }
    let mut kept = Vec::with_capacity(devices);
    while let Some(attached) = attaching.join_next().await {
        kept.push(attached??);
    }
    let took = begun.elapsed();
    println!("{} devices with six links each attached in {took:.2?}", kept.len());
    Ok(took <= LIMIT)
}

/// The command, where the same build puts it.
fn beside_this() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).ok_or("no folder")?;
    Ok(folder.join(format!("iothub{}", std::env::consts::EXE_SUFFIX)))
}

/// How long the command takes to its ready line.
fn ready(iothub: &Path, ca_dir: &Path) -> Result<Duration, Failure> {
    let mut command = Command::new(iothub);
    command.args(["emulator", "--json", "--listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0"]);
    command.arg("--ca-dir").arg(ca_dir);
    let begun = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let took = begun.elapsed();
    process.kill()?;
    process.wait()?;
    if line.contains("\"ready\"") { Ok(took) } else { Err("the emulator does not start".into()) }
}

fn starts(iothub: &Path) -> Result<bool, Failure> {
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        new.push(ready(iothub, folder.path())?);
        kept.push(ready(iothub, folder.path())?);
    }
    let mut within = true;
    for ((what, mut times), limit) in [("a kept", kept), ("a new", new)].into_iter().zip(READY) {
        times.sort_unstable();
        let [least, .., most] = times.as_slice() else { return Err("no starts".into()) };
        let median = times.get(STARTS / 2).copied().unwrap_or_default();
        println!("ready with {what} authority: median {median:.1?}, {least:.1?} to {most:.1?}, of {STARTS} starts");
        within &= median <= limit;
    }
    Ok(within)
}
