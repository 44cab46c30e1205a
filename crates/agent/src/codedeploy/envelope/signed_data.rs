//! Reads CMS `SignedData` (RFC 5652), DER and what of BER is met in it. Pure; verifies nothing.
//!
//! Certificates stay bytes: only the signer's counts, and whoever verifies it reads it.

use der::asn1::{AnyRef, ObjectIdentifier, OctetString};
use der::{DecodeValue, EncodingRules, FixedTag, Header, Reader, SliceReader, Tag, TagMode, TagNumber};

/// `SignedData`.
#[derive(Debug)]
pub(super) struct SignedData<'a> {
    /// What kind of content it has.
    pub content_type: ObjectIdentifier,
    /// The content, unless it is elsewhere.
    pub content: Option<Vec<u8>>,
    /// The certificates, each whole.
    pub certificates: Vec<&'a [u8]>,
    /// Who signed.
    pub signers: Vec<SignerInfo<'a>>,
}

/// `SignerInfo`.
#[derive(Debug)]
pub(super) struct SignerInfo<'a> {
    /// Whose key it was.
    pub signer: SignerId<'a>,
    /// The hash.
    pub digest: ObjectIdentifier,
    /// What is signed instead of the content, with its hash in it: attributes, each whole.
    pub attributes: Option<Vec<&'a [u8]>>,
    /// The algorithm of the signature, which may name a hash, too.
    pub algorithm: ObjectIdentifier,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Which certificate is the signer's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignerId<'a> {
    /// That of this issuer with this number.
    Numbered {
        /// The issuer's name, without tag and length.
        issuer: &'a [u8],
        /// The number.
        serial: &'a [u8],
    },
    /// That with this key. Which one it is the signature tells.
    Key,
}

/// An attribute with one value.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    /// What it says.
    pub kind: ObjectIdentifier,
    /// Its value, whole; `None`: it does not have exactly one.
    pub value: Option<&'a [u8]>,
}

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Reads `ContentInfo`; `None` inside: it is something else than signed data.
pub(super) fn read(bytes: &[u8]) -> der::Result<Option<SignedData<'_>>> {
    let mut reader = reader(bytes)?;
    let signed = reader.sequence(|r| {
        if r.decode::<ObjectIdentifier>()? != SIGNED_DATA {
            r.drain(r.remaining_len())?;
            return Ok(None);
        }
        r.context_specific::<SignedData<'_>>(TagNumber(0), TagMode::Explicit)
    })?;
    reader.finish()?;
    Ok(signed)
}

impl<'a> Attribute<'a> {
    /// Reads one.
    pub(super) fn read(bytes: &'a [u8]) -> der::Result<Attribute<'a>> {
        let mut reader = reader(bytes)?;
        let attribute = reader.sequence(|r| {
            let (kind, Members(values)) = (r.decode()?, r.decode()?);
            let value = match values[..] {
                [value] => Some(value),
                [] | [_, _, ..] => None,
            };
            der::Result::Ok(Attribute { kind, value })
        })?;
        reader.finish()?;
        Ok(attribute)
    }
}

/// The bytes of an octet string, whole in `bytes`.
pub(super) fn octets(bytes: &[u8]) -> der::Result<Vec<u8>> {
    let mut reader = reader(bytes)?;
    let octets: OctetString = reader.decode()?;
    reader.finish()?;
    Ok(octets.into_bytes().into())
}

/// An object identifier, whole in `bytes`.
pub(super) fn identifier(bytes: &[u8]) -> der::Result<ObjectIdentifier> {
    let mut reader = reader(bytes)?;
    let identifier = reader.decode()?;
    reader.finish()?;
    Ok(identifier)
}

/// A `SET OF` of whole values in DER: in the order of their bytes.
pub(super) fn set_of(members: &[&[u8]]) -> der::Result<Vec<u8>> {
    let mut members = members.to_vec();
    members.sort_unstable();
    let value = members.concat();
    der::Encode::to_der(&AnyRef::new(Tag::Set, &value)?)
}

fn reader(bytes: &[u8]) -> der::Result<SliceReader<'_>> {
    SliceReader::new_with_encoding_rules(bytes, EncodingRules::Ber)
}

/// The members of a set, each whole.
struct Members<'a>(Vec<&'a [u8]>);

impl<'a> DecodeValue<'a> for Members<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _: Header) -> der::Result<Members<'a>> {
        let mut members = Vec::new();
        while !reader.is_finished() {
            members.push(reader.tlv_bytes()?);
        }
        Ok(Members(members))
    }
}

impl FixedTag for Members<'_> {
    const TAG: Tag = Tag::Set;
}

impl<'a> DecodeValue<'a> for SignedData<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(r: &mut R, _: Header) -> der::Result<SignedData<'a>> {
        let (_version, _digests): (AnyRef<'_>, Members<'_>) = (r.decode()?, r.decode()?);
        let (content_type, content) = r.sequence(|r| {
            let kind = r.decode()?;
            let content = r.context_specific::<OctetString>(TagNumber(0), TagMode::Explicit)?;
            der::Result::Ok((kind, content.map(|content| content.into_bytes().into())))
        })?;
        let certificates = r.context_specific::<Members<'_>>(TagNumber(0), TagMode::Implicit)?;
        let _revoked = r.context_specific::<Members<'_>>(TagNumber(1), TagMode::Implicit)?;
        let Members(signers) = r.decode()?;
        Ok(SignedData {
            content_type,
            content,
            certificates: certificates.map_or_else(Vec::new, |Members(certificates)| certificates),
            signers: signers.into_iter().map(SignerInfo::read).collect::<der::Result<_>>()?,
        })
    }
}

impl FixedTag for SignedData<'_> {
    const TAG: Tag = Tag::Sequence;
}

impl<'a> SignerInfo<'a> {
    fn read(bytes: &'a [u8]) -> der::Result<SignerInfo<'a>> {
        let mut reader = reader(bytes)?;
        let info = reader.sequence(|r| {
            let _version: AnyRef<'_> = r.decode()?;
            let signer = SignerId::read(r)?;
            let digest = algorithm(r)?;
            let attributes = r.context_specific::<Members<'_>>(TagNumber(0), TagMode::Implicit)?;
            let algorithm = algorithm(r)?;
            let signature: OctetString = r.decode()?;
            let _unsigned = r.context_specific::<Members<'_>>(TagNumber(1), TagMode::Implicit)?;
            der::Result::Ok(SignerInfo {
                signer,
                digest,
                attributes: attributes.map(|Members(attributes)| attributes),
                algorithm,
                signature: signature.into_bytes().into(),
            })
        })?;
        reader.finish()?;
        Ok(info)
    }
}

impl<'a> SignerId<'a> {
    fn read<R: Reader<'a>>(r: &mut R) -> der::Result<SignerId<'a>> {
        if Tag::peek(r)? != Tag::Sequence {
            let _key: AnyRef<'_> = r.decode()?;
            return Ok(SignerId::Key);
        }
        r.sequence(|r| {
            let (issuer, serial): (AnyRef<'_>, AnyRef<'_>) = (r.decode()?, r.decode()?);
            issuer.header().tag().assert_eq(Tag::Sequence)?;
            serial.header().tag().assert_eq(Tag::Integer)?;
            Ok(SignerId::Numbered { issuer: issuer.value(), serial: serial.value() })
        })
    }
}

/// The name in an `AlgorithmIdentifier`. Parameters are those that the name implies, or the signature is wrong.
fn algorithm<'a, R: Reader<'a>>(r: &mut R) -> der::Result<ObjectIdentifier> {
    r.sequence(|r| {
        let name = r.decode()?;
        r.drain(r.remaining_len())?;
        Ok(name)
    })
}
