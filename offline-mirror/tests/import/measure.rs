//! How much CPU an import takes, beside nothing else: for docs/benchmarks.md.

use offline_mirror::import::ImportRequest;

use crate::scene::{Scene, request};

/// Blobs and their length: a gibibyte in all.
const BLOBS: u8 = 16;
const BLOB_BYTES: usize = 64 * 1024 * 1024;

/// CPU of this process so far, in ticks of a hundredth of a second (proc(5), `stat`).
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |at: usize| fields.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
    field(11) + field(12)
}

#[actix_web::test]
#[ignore = "a measurement: needs a gibibyte of disk"]
async fn an_import_into_a_store_costs_one_hash_of_every_byte() {
    let scene = Scene::new();
    let mut maker = scene.maker("north-1", 1);
    maker.segment_bytes = 4 << 30;
    let blobs: Vec<Vec<u8>> = (0..BLOBS).map(|n| vec![n; BLOB_BYTES]).collect();
    let layers: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let image = crate::maker::image(&layers, None);
    for blob in &blobs {
        maker.add_blob(blob);
    }
    maker.carry("tools/big", &image, &["v1"], offline_mirror::bundle::ImageRole::Extra);
    let bundle = scene.made(&maker);
    drop((blobs, maker));
    let request: ImportRequest = request(&[&bundle]);
    let before = ticks();
    let evidence = scene.import_with(&request, &scene.to_store()).await.unwrap();
    let spent = ticks() - before;
    let megabytes = evidence.told.bytes_verified / 1_000_000;
    println!("{megabytes} MB in {spent} hundredths of a CPU second");
}
