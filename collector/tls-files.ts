import { readFileSync } from 'node:fs';
import { NetloomError, messageOf } from '../lib/errors.ts';
import type { AgentTls } from './options.ts';
import type { ClientTls } from './report/connection.ts';

/**
 * Certificates as the report stream takes them. Each property reads its file anew, and the stream looks at them for
 * every connection: so a renewed certificate is used from the next one on.
 * @throws NetloomError TLS_UNUSABLE now, if a file cannot be read; later its last good contents serve
 */
export function tlsFiles(files: AgentTls): ClientTls {
  const tls: ClientTls = files.serverName === undefined ? {} : { serverName: files.serverName };
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = files[name];
    if (path === undefined) continue;
    let contents = readPem(path);
    Object.defineProperty(tls, name, {
      enumerable: true,
      get: () => {
        try {
          contents = readPem(path);
        } catch {
          // Being replaced right now, perhaps.
        }
        return contents;
      },
    });
  }
  return tls;
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new NetloomError('TLS_UNUSABLE', 'reports cannot be sent over TLS with these files', {
      place: path,
      expected: 'a readable PEM file',
      found: messageOf(error),
      remedy: 'Give PEM files that this user may read with --tls-ca, --tls-cert and --tls-key.',
      cause: error,
    });
  }
}
