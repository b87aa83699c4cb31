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
    "InvalidRequest": (400, "Invalid request."),
    "InvalidURI": (400, "Could not parse the specified URI."),
    "KeyTooLong": (400, "Your key is too long."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate."),
    "NotSupportedStorageClass": (400, "The storage class you specified is not supported."),
    "RequestTimeout": (400, "Your socket connection to the server was idle for too long."),
    "XMLSizeLimit": (400, "The XML you provided is too large."),
    "AccessDenied": (403, "Access Denied."),
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
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist."),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "RestoreNonArchiveObject": (405, "The object is not archived."),
    "AppendPositionErr": (409, "The append position is not equal to the object length."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available."),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
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
