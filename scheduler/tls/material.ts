import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf, NetloomError } from '../../lib/errors.ts';

export interface TlsFiles {
  /** PEM: our certificate and what it is signed by; the private key. */
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM: only callers with a certificate signed by one of these are let in. */
  readonly clientCaFile?: string;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

/**
 * Reads the files and checks that they can serve: PEM, key and certificate belong together.
 * @throws NetloomError TLS_UNUSABLE, naming the file.
 */
export async function readTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  // One after the other: of several that cannot be used, it is always the same one that is named.
  const cert = await readPem(files.certFile, 'CERTIFICATE');
  const key = await readPem(files.keyFile, 'PRIVATE KEY');
  const ca = files.clientCaFile === undefined ? undefined : await readPem(files.clientCaFile, 'CERTIFICATE');
  try {
    createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
  } catch (error) {
    throw unusable(
      `${files.certFile} and ${files.keyFile}`,
      'a certificate and the private key that belongs to it',
      error,
    );
  }
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}

async function readPem(file: string, label: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw unusable(file, 'a readable PEM file', error);
  }
  // An empty CA file would otherwise be taken as "no CA", and lock everybody out without a word.
  if (!bytes.includes(`${label}-----`))
    throw unusable(file, `PEM with a ${label}`, `${bytes.length} bytes without one`);
  return bytes;
}

function unusable(place: string, expected: string, found: unknown): NetloomError {
  return new NetloomError('TLS_UNUSABLE', 'TLS cannot be served with these files', {
    place,
    expected,
    found: messageOf(found),
  });
}

export function sameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca?.equals(b.ca ?? Buffer.alloc(0)) ?? true);
}
