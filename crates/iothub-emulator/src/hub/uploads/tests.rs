use super::*;

fn uploads() -> Uploads {
    Uploads::new(&FileUploadSettings::default(), &mut Random::new(1))
}

fn empty_file(content_type: &str) -> UploadedFile {
    UploadedFile { octets: Bytes::new(), content_type: content_type.to_owned(), written: UnixMillis(0) }
}

/// What is kept of blobs and blocks without octets, until the first that is refused.
fn fill(mut put: impl FnMut(usize) -> Result<(), ServiceError>) -> usize {
    let put = (0..).find(|number| match put(*number) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::MessageTooLarge);
            true
        }
    });
    put.unwrap_or_default()
}

#[test]
fn blobs_of_no_octets_with_long_names_are_bounded_together() {
    let mut uploads = uploads();
    let name = "n".repeat(1000);
    let count = fill(|number| uploads.put(&format!("{name}{number}"), empty_file("text/plain")));
    assert!((10_000..20_000).contains(&count), "{count}");
    // The same again replaces what is there.
    uploads.put(&format!("{name}0"), empty_file("text/plain")).unwrap();
}

#[test]
fn blobs_of_no_octets_with_short_names_are_bounded_by_their_number() {
    let mut uploads = uploads();
    assert_eq!(fill(|number| uploads.put(&number.to_string(), empty_file(""))), MAX_BLOBS);
}

#[test]
fn blocks_of_no_octets_are_bounded_over_all_blobs() {
    let mut uploads = uploads();
    let count = fill(|number| uploads.put_block(&format!("b{}", number / 40_000), &number.to_string(), Bytes::new()));
    assert!((200_000..300_000).contains(&count), "{count}");
    // What is replaced makes room for what replaces it.
    uploads.put_block("b0", "0", Bytes::new()).unwrap();
    uploads.put_block_list(UnixMillis(0), "b0", &[], "x".repeat(100)).unwrap();
    uploads.put("b1", empty_file("text/plain")).unwrap();
}

#[test]
fn what_is_replaced_or_put_together_is_not_counted_any_more() {
    let mut uploads = uploads();
    for _ in 0..3 {
        for number in 0..10 {
            uploads.put_block("blob", &number.to_string(), Bytes::new()).unwrap();
        }
        let ids = ["1".to_owned(), "2".to_owned()];
        uploads.put_block_list(UnixMillis(0), "blob", &ids, "text/plain".into()).unwrap();
        assert_eq!(uploads.names, "blob".len() + ENTRY + "text/plain".len());
    }
    uploads.put_block_list(UnixMillis(0), "other", &["none".to_owned()], "text/plain".into()).unwrap_err();
    assert_eq!((uploads.names, uploads.stored), ("blob".len() + ENTRY + "text/plain".len(), 0));
}
