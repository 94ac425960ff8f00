//! What the header decides: plans, limits, memory, entity tags.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_what_will_be_done() {
    let pipeline = bicubic();
    let image = png(&noise(Size::new(100, 60), Channels::Rgb));
    let planned = pipeline.plan(image.clone(), &options(OutputFormat::Png)).await.expect("a good image");
    let answer = pipeline.upscale(image, options(OutputFormat::Png)).await.expect("a good image");
    assert_eq!((planned.output, planned.tiles, planned.bytes), (Size::new(200, 120), 5 * 3, answer.plan.bytes));
    assert_eq!(planned.passes[0].tile, answer.plan.passes[0].tile);
    // What nobody has read yet counts.
    drop(answer);
    idle(&pipeline).await;
}

#[tokio::test]
async fn a_plan_gives_the_errors_of_the_work() {
    let pipeline = bicubic();
    let image = png(&noise(Size::new(10, 10), Channels::Rgb));
    let unknown = Options { model: "nonsense".into(), ..options(OutputFormat::Png) };
    assert!(matches!(pipeline.plan(image, &unknown).await, Err(PipelineError::Lookup(_))));
    // The parameter is reported first, even if the image is wrong, too.
    assert!(matches!(pipeline.plan(Bytes::new(), &unknown).await, Err(PipelineError::Lookup(_))));
    let error = pipeline.plan(Bytes::new(), &options(OutputFormat::Png)).await;
    assert!(matches!(error, Err(PipelineError::Codec(CodecError::Empty))));
    let error = pipeline.upscale(Bytes::from_static(b"nonsense"), options(OutputFormat::Png)).await;
    assert!(matches!(error, Err(PipelineError::Codec(CodecError::Unsupported(_)))));
}

#[tokio::test]
async fn the_output_limit_has_two_sides() {
    let mut pipeline = Arc::into_inner(bicubic()).expect("nobody else has it yet");
    pipeline.limits.output_pixels = 20 * 20;
    let plan = async |side| {
        let image = png(&noise(Size::new(side, 10), Channels::Gray));
        pipeline.plan(image, &options(OutputFormat::Png)).await
    };
    assert!(plan(10).await.is_ok());
    match plan(11).await {
        Err(PipelineError::Codec(CodecError::TooLarge { name, limit, actual, .. })) => {
            assert_eq!((name, limit, actual), ("output_pixels", 400, 440));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entity_tag_follows_what_determines_the_bytes() {
    let pipeline = bicubic();
    let (one, two) = (png(&noise(Size::new(9, 9), Channels::Rgb)), png(&noise(Size::new(9, 8), Channels::Rgb)));
    let tag =
        async |upload: &Bytes, options| pipeline.upscale(upload.clone(), options).await.expect("a good image").etag;
    let first = tag(&one, options(OutputFormat::Png)).await;
    assert_eq!(first.len(), 32);
    assert_eq!(first, tag(&one, options(OutputFormat::Png)).await);
    assert_ne!(first, tag(&two, options(OutputFormat::Png)).await);
    assert_ne!(first, tag(&one, options(OutputFormat::WebP)).await);
    let plan = pipeline.plan(one.clone(), &options(OutputFormat::Png)).await.expect("a good image");
    let tag_with = |change: fn(&mut TileSpec)| {
        let mut plan = plan.clone();
        change(&mut plan.passes[0].tile);
        etag::etag(&one, &plan)
    };
    assert_eq!(first, tag_with(|_| ()));
    assert_ne!(first, tag_with(|tile| tile.halo += 4), "a network sees as far as its halo");
    assert_ne!(first, tag_with(|tile| tile.shape = TileShape::square(64)));
    assert_ne!(first, tag(&one, Options { ensemble: true, ..options(OutputFormat::Png) }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_grows_with_what_is_asked_for() {
    let pipeline = bicubic();
    let bytes = async |size, channels, ensemble, format| {
        let upload = png(&noise(size, channels));
        let options = Options { ensemble, ..options(format) };
        pipeline.plan(upload, &options).await.expect("a good image").bytes
    };
    let small = bytes(Size::new(64, 64), Channels::Rgb, false, OutputFormat::Png).await;
    assert!(small < 8 << 20, "{small} bytes for a thumbnail");
    assert!(bytes(Size::new(640, 640), Channels::Rgb, false, OutputFormat::Png).await > small);
    assert!(bytes(Size::new(64, 64), Channels::Rgb, true, OutputFormat::Png).await > small);
    let tall = Size::new(16, 8000);
    let streamed = bytes(tall, Channels::Rgb, false, OutputFormat::Png).await;
    assert!(
        bytes(tall, Channels::Rgb, false, OutputFormat::WebP).await >= streamed + 3 * 32 * 16_000,
        "WebP is held whole"
    );
}
