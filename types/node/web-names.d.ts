// Names that every web platform's types have as globals and @types/node keeps in modules. With them, code of src/ that
// is free of the platform compiles for Node as it does for the Worker.

type BodyInit = import('undici-types').BodyInit
type HeadersInit = import('undici-types').HeadersInit
type BufferSource = import('node:crypto').webcrypto.BufferSource
type CryptoKey = import('node:crypto').webcrypto.CryptoKey
type CryptoKeyPair = import('node:crypto').webcrypto.CryptoKeyPair
type JsonWebKey = import('node:crypto').webcrypto.JsonWebKey
