use axum::http::HeaderValue;
use futures::{Stream, stream};

use super::*;

const LIMIT: usize = 1000;
/// Room for two uploads of the greatest size.
const ROOM: u64 = 2 * LIMIT as u64;
const TIME: Duration = Duration::from_mins(1);

fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn upload(body: Body, headers: &HeaderMap, budget: &Arc<Budget>) -> Upload {
    Upload::new(body, headers, LIMIT, TIME, budget, Arc::new(Record::for_test()))
}

/// A body in pieces, as it comes off the wire.
fn pieces(pieces: impl Stream<Item = Vec<u8>> + Send + 'static) -> Body {
    Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>))
}

async fn read(body: Body, encoding: &BodyEncoding) -> Result<Bytes, Problem> {
    upload(body, &HeaderMap::new(), &Budget::new(ROOM)).read(encoding).await
}

async fn code(body: Body, encoding: &BodyEncoding) -> Code {
    read(body, encoding).await.expect_err("a problem").code
}

/// A form with these fields, each a file.
fn form(fields: &[(&str, &str)]) -> String {
    let parts = fields.iter().map(|(name, content)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n{content}\r\n")
    });
    parts.collect::<String>() + "--b--\r\n"
}

fn boundary() -> BodyEncoding {
    BodyEncoding::Form("b".into())
}

#[tokio::test]
async fn the_limit_is_the_last_size_that_passes() {
    for (size, passes) in [(1, true), (LIMIT, true), (LIMIT + 1, false)] {
        let split = pieces(stream::iter(vec![vec![7; size / 2], vec![7; size - size / 2]]));
        match read(split, &BodyEncoding::Bare).await {
            Ok(bytes) => assert!(passes && bytes.len() == size, "{size}"),
            Err(problem) => {
                assert!(!passes && problem.code == Code::BodyTooLarge, "{size}: {problem:?}");
                let exceeded = problem.exceeded.expect("a limit");
                assert_eq!((exceeded.limit, exceeded.actual), ((LIMIT as u64).into(), (size as u64).into()));
            }
        }
    }
}

#[tokio::test]
async fn what_is_announced_is_believed_before_it_is_read() {
    for (length, passes) in [("0", true), ("1000", true), ("1001", false), ("18446744073709551615", false)] {
        let headers = headers(&[(header::CONTENT_LENGTH, length)]);
        let upload = upload(Body::empty(), &headers, &Budget::new(ROOM));
        assert_eq!(upload.check_announced().is_ok(), passes, "{length}");
    }
}

#[tokio::test]
async fn an_endless_upload_is_cut_at_the_limit() {
    assert_eq!(code(pieces(stream::repeat(vec![0; 100])), &BodyEncoding::Bare).await, Code::BodyTooLarge);
    let head = stream::iter([form(&[("image", "")]).replace("\r\n--b--\r\n", "").into_bytes()]);
    assert_eq!(code(pieces(head.chain(stream::repeat(vec![0; 100]))), &boundary()).await, Code::BodyTooLarge);
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_for_the_whole_upload() {
    // A byte every 25 s never stalls for long, and is still too slow.
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(25)).await;
        Some((vec![1], ()))
    });
    let began = Instant::now();
    let problem = read(pieces(drops), &BodyEncoding::Bare).await.expect_err("a problem");
    assert_eq!(problem.code, Code::UploadTimeout);
    assert_eq!(began.elapsed().as_secs(), TIME.as_secs());
    assert!(problem.detail.contains("2 bytes"), "{}", problem.detail);

    let silent = pieces(stream::pending());
    assert_eq!(code(silent, &boundary()).await, Code::UploadTimeout, "the clock reaches through the form");

    let late_but_whole = stream::once(async {
        tokio::time::sleep(Duration::from_millis(59_999)).await;
        vec![1]
    });
    assert!(read(pieces(late_but_whole), &BodyEncoding::Bare).await.is_ok());
}

#[tokio::test]
async fn a_broken_or_empty_upload_is_distinguished() {
    let broken = stream::iter([Ok(vec![1]), Err(std::io::Error::other("reset"))]);
    assert_eq!(code(Body::from_stream(broken), &BodyEncoding::Bare).await, Code::BrokenUpload);
    assert_eq!(code(Body::empty(), &BodyEncoding::Bare).await, Code::EmptyBody);
    assert_eq!(code(form(&[("file", "")]).into(), &boundary()).await, Code::EmptyBody);
}

#[tokio::test]
async fn a_form_holds_exactly_one_image() {
    for name in FIELDS {
        let bytes = read(form(&[(name, "abc")]).into(), &boundary()).await;
        assert_eq!(bytes.as_deref(), Ok(&b"abc"[..]), "{name}");
    }
    for fields in [
        &[][..],
        &[("photo", "abc")],
        &[("image", "abc"), ("scale", "2")],
        &[("image", "abc"), ("image", "abc")],
        &[("image", "abc"), ("file", "abc")],
    ] {
        assert_eq!(code(form(fields).into(), &boundary()).await, Code::InvalidForm, "{fields:?}");
    }
    for broken in ["", "--b", "no boundary at all", "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nabc"]
    {
        assert_eq!(code(broken.into(), &boundary()).await, Code::InvalidForm, "{broken:?}");
    }
}

#[tokio::test]
async fn a_form_comes_whole_in_pieces_of_any_size() {
    let image: String = (0..500).map(|i| char::from(b'!' + (i % 90) as u8)).collect();
    let wire = form(&[("image", &image)]).into_bytes();
    for size in [1, 2, 7, 64, 1000] {
        let chunks: Vec<Vec<u8>> = wire.chunks(size).map(<[u8]>::to_vec).collect();
        let bytes = read(pieces(stream::iter(chunks)), &boundary()).await;
        assert_eq!(bytes.as_deref(), Ok(image.as_bytes()), "pieces of {size}");
    }
}

/// A form of so many bytes before its file, in the header of the file or before the first boundary.
fn padded(head: usize, in_header: bool) -> Vec<u8> {
    let lines = |before: &str, header: &str| {
        format!("{before}--b\r\nContent-Disposition: form-data; name=\"image\"\r\nX: {header}\r\n\r\n")
    };
    let fill = "y".repeat(head - lines("", "").len());
    let head = if in_header { lines("", &fill) } else { lines(&fill, "") };
    (head + "abc\r\n--b--").into_bytes()
}

#[tokio::test]
async fn what_precedes_the_file_of_a_form_is_bounded() {
    for (head, passes) in [(100, true), (form::HEAD, true), (form::HEAD + 1, false)] {
        let wire = padded(head, true);
        for (wire, size) in [(&wire, 1), (&wire, 1000), (&wire, wire.len()), (&padded(head, false), 700)] {
            let chunks: Vec<Vec<u8>> = wire.chunks(size).map(<[u8]>::to_vec).collect();
            let upload = |limit| {
                let body = pieces(stream::iter(chunks.clone()));
                Upload::new(body, &HeaderMap::new(), limit, TIME, &Budget::new(1 << 20), Arc::new(Record::for_test()))
            };
            match upload(1 << 20).read(&boundary()).await {
                Ok(bytes) => assert!(passes && bytes == "abc", "{head}"),
                Err(problem) => {
                    assert!(!passes && problem.code == Code::InvalidForm, "{head}: {problem:?}");
                    assert!(problem.detail.contains("more than 8192 bytes"), "{}", problem.detail);
                }
            }
        }
    }
}

/// Gathered as a whole, a form would be held once more as its file.
#[tokio::test(start_paused = true)]
async fn a_form_is_parsed_as_it_comes() {
    let opened = form(&[("photo", "abc")]).replace("abc\r\n--b--\r\n", "");
    let waits = stream::iter([opened.into_bytes()]).chain(stream::pending());
    assert_eq!(code(pieces(waits), &boundary()).await, Code::InvalidForm, "refused by its header alone");
    let mut second = form(&[("image", "abc")]).replace("--b--\r\n", "--b\r\nX: ").into_bytes();
    second.resize(second.len() + 2 * form::HEAD, b'y');
    let waits = stream::iter(second.chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>()).chain(stream::pending());
    let mut upload = Upload::new(
        pieces(waits),
        &HeaderMap::new(),
        1 << 20,
        TIME,
        &Budget::new(1 << 20),
        Arc::new(Record::for_test()),
    );
    let problem = upload.read(&boundary()).await.expect_err("a header without end");
    assert_eq!(problem.code, Code::InvalidForm, "as long as its file's, any header is bounded");
}

#[tokio::test]
async fn what_follows_a_form_counts_as_sent() {
    let wire = form(&[("image", "abc")]).into_bytes();
    let room = LIMIT - wire.len();
    for (more, passes) in [(0, true), (room, true), (room + 1, false)] {
        let body = pieces(stream::iter([wire.clone(), vec![b'x'; more]]));
        assert_eq!(read(body, &boundary()).await.is_ok(), passes, "{more}");
    }
}

#[tokio::test]
async fn a_strange_field_is_reported_in_a_line() {
    let wire = form(&[(&"n".repeat(500), "abc")]);
    let problem = read(wire.into(), &boundary()).await.expect_err("a problem");
    let document = problem.document("id");
    assert!(document.len() < 500, "{}", String::from_utf8_lossy(&document));
    assert!(problem.detail.contains("field 'nnnn"), "{}", problem.detail);
}

#[test]
fn content_types_of_images_and_of_unknown_bytes_pass() {
    use header::{CONTENT_ENCODING, CONTENT_TYPE};
    for content_type in ["image/png", "IMAGE/JPEG", "image/x-unheard-of", "application/octet-stream; x=y", ""] {
        assert_eq!(
            BodyEncoding::of(&headers(&[(CONTENT_TYPE, content_type)])),
            Ok(BodyEncoding::Bare),
            "{content_type}"
        );
    }
    let from_curl = headers(&[(CONTENT_TYPE, "application/x-www-form-urlencoded"), (CONTENT_ENCODING, "identity")]);
    assert_eq!(BodyEncoding::of(&from_curl), Ok(BodyEncoding::Bare));
    assert_eq!(BodyEncoding::of(&HeaderMap::new()), Ok(BodyEncoding::Bare));
    let form = headers(&[(CONTENT_TYPE, "multipart/form-data; boundary=\"b\"")]);
    assert_eq!(BodyEncoding::of(&form), Ok(boundary()));

    for (refused, expected) in [
        (headers(&[(CONTENT_TYPE, "application/json")]), Code::UnsupportedMediaType),
        (headers(&[(CONTENT_TYPE, "text/plain; charset=utf-8")]), Code::UnsupportedMediaType),
        (headers(&[(CONTENT_TYPE, "image/png"), (CONTENT_ENCODING, "gzip")]), Code::UnsupportedMediaType),
        (headers(&[(CONTENT_TYPE, "multipart/form-data")]), Code::InvalidForm),
        (headers(&[(CONTENT_TYPE, "multipart/mixed; boundary=b")]), Code::UnsupportedMediaType),
    ] {
        assert_eq!(BodyEncoding::of(&refused).expect_err("a problem").code, expected, "{refused:?}");
    }
}

#[tokio::test]
async fn uploads_share_a_budget_and_give_it_back() {
    let budget = Budget::new(ROOM);
    let mut held = Vec::new();
    for _ in 0..ROOM / LIMIT as u64 {
        let mut upload = upload(vec![1; LIMIT].into(), &HeaderMap::new(), &budget);
        upload.read(&BodyEncoding::Bare).await.expect("there is room");
        held.push(upload.into_held());
    }
    let one_more = || async { upload(vec![1].into(), &HeaderMap::new(), &budget).read(&BodyEncoding::Bare).await };
    let problem = one_more().await.expect_err("no room");
    assert_eq!((problem.code, problem.retry_after.is_some()), (Code::MemoryFull, true));
    held.pop();
    assert!(one_more().await.is_ok(), "room was given back");
    held.clear();
    assert_eq!(budget.held.load(Ordering::Relaxed), 0);
}
