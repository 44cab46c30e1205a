//! Sends one part of a file, again and again while the network is bad. The other parts go on meanwhile.

use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::upload_part::UploadPartError;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedPart};

use super::pause;
use super::refusal;

/// How often a part is sent. The SDK sends each of them up to three times by itself, as long as not too many requests fail; with
/// the pauses between, a network that is away for ten seconds ends no upload.
const TIMES: u32 = 7;
/// What the SDK reads of a file at a time. Its own default of 4 KiB costs several times the CPU.
const BUFFER: usize = 64 << 10;

/// A part that should be sent.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    /// The id of the upload.
    pub(super) id: String,
    pub(super) number: i32,
    /// The way to the open file.
    pub(super) held: PathBuf,
    pub(super) range: Range<u64>,
}

/// Why a part was not sent.
pub(super) enum Failed {
    /// The file cannot be read.
    Read(std::io::Error),
    /// The server does not take it.
    Send(Box<SdkError<UploadPartError, HttpResponse>>),
}

impl Part {
    /// Sends it. The number of bytes, and what completes the upload.
    pub(super) async fn send(self) -> Result<(u64, CompletedPart), Failed> {
        let length = self.range.end - self.range.start;
        let mut times = 1;
        loop {
            let body = body(&self.held, &self.range).await.map_err(Failed::Read)?;
            let request = self.client.upload_part().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
            let request = request.part_number(self.number).checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(body);
            match request.send().await {
                Ok(output) => {
                    let done = CompletedPart::builder()
                        .part_number(self.number)
                        .set_e_tag(output.e_tag)
                        .set_checksum_crc64_nvme(output.checksum_crc64_nvme)
                        .build();
                    return Ok((length, done));
                }
                // A part that arrived although its answer was lost is replaced by the same bytes.
                Err(error) if refusal::is_unclear(&error) && times < TIMES => {
                    tracing::debug!(part = self.number, times, error = %refusal::chain(&error), "sending a part again");
                }
                Err(error) => return Err(Failed::Send(Box::new(error))),
            }
            pause(times).await;
            times += 1;
        }
    }
}

/// A piece of a file as the body of a request. The SDK can read it again when it repeats the request.
pub(super) async fn body(file: &Path, range: &Range<u64>) -> std::io::Result<ByteStream> {
    let body = ByteStream::read_from().path(file).offset(range.start);
    let body = body.length(Length::Exact(range.end - range.start)).buffer_size(BUFFER);
    body.build().await.map_err(|error| std::io::Error::other(refusal::deepest(&error)))
}
