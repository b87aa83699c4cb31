"""The refusals of COS.

In: a code, perhaps a message. Out: ``CosError``, which knows its status and its usual
wording; the server turns it into the Error document.
"""

from __future__ import annotations

from collections.abc import Mapping

_USUAL: dict[str, tuple[int, str]] = {
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size."),
    "ExpiredToken": (400, "The provided token has expired."),
    "IncompleteBody": (400, "The body is shorter than its Content-Length says."),
    "InvalidArgument": (400, "Invalid argument."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidCopySource": (400, "The copy source is not valid."),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidPart": (400, "One or more of the specified parts could not be found."),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
    "InvalidPolicyDocument": (400, "The policy of the form is not valid."),
    "InvalidRequest": (400, "Invalid request."),
    "InvalidTag": (400, "The tags you specified are not valid."),
    "InvalidURI": (400, "Could not parse the specified URI."),
    "KeyTooLong": (400, "Your key is too long."),
    "MalformedPolicy": (400, "The policy you provided is not a valid policy."),
    "MalformedPOSTRequest": (400, "The body is not well-formed multipart/form-data."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate."),
    "MaxPostPreDataLengthExceeded": (400, "The fields before the file are too large."),
    "NotSupportedStorageClass": (400, "The storage class you specified is not supported."),
    "RequestTimeout": (400, "Your socket connection to the server was idle for too long."),
    "UnexpectedContent": (400, "This request does not support content."),
    "XMLSizeLimit": (400, "The XML you provided is too large."),
    "AccessDenied": (403, "Access Denied."),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "InvalidAccessKeyId": (403, "The Access Key Id you provided does not exist in our records."),
    "InvalidObjectState": (
        403,
        "The operation is not valid for the object's storage class",
    ),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the server's time is too large.",
    ),
    "SignatureDoesNotMatch": (403, "The Signature you specified is invalid."),
    "DomainConfigNotFoundError": (404, "Bucket domain config not found."),
    "InventoryConfigurationNotFoundError": (404, "The inventory configuration does not exist."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchBucketPolicy": (404, "The specified bucket does not have a bucket policy."),
    "NoSuchCORSConfiguration": (404, "The specified cors configuration does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchEncryptionConfiguration": (404, "The encryption configuration does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist."),
    "NoSuchObjectLockConfiguration": (404, "The object lock configuration does not exist."),
    "NoSuchTagSet": (404, "The TagSet does not exist."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist."),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The website configuration does not exist."),
    "OriginConfigurationNotFoundError": (404, "The origin configuration does not exist."),
    "ReplicationConfigurationNotFoundError": (
        404,
        "The replication configuration does not exist.",
    ),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "RestoreNonArchiveObject": (405, "The object is not archived."),
    "AppendPositionErr": (409, "The append position is not equal to the object length."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available."),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "DuplicateInventoryId": (409, "An inventory of this id exists already."),
    "FileAlreadyExists": (409, "The object already exists and must not be overwritten."),
    "ObjectNotAppendable": (409, "The object is not appendable."),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "PreconditionFailed": (
        412,
        "At least one of the pre-conditions you specified did not hold.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "NotImplemented": (501, "This operation is not implemented."),
    "ServiceUnavailable": (503, "Reduce your request rate."),
    "SlowDown": (503, "Reduce your request rate."),
}


class CosError(Exception):
    """COS refuses a request.

    ``headers`` go along with the answer, ``details`` become further nodes of the document.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        usual_status, usual_message = _USUAL.get(code, (400, code))
        self.code = code
        self.status = usual_status if status is None else status
        self.message = usual_message if message is None else message
        self.headers = dict(headers or {})
        self.details = dict(details or {})
        super().__init__(f"{self.status} {code}: {self.message}")


class Dropped(Exception):  # noqa: N818  (not an error: the end of a conversation)
    """The connection is gone, or a fault ended it: there is nobody to answer."""
