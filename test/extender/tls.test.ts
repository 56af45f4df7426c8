import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CART_ANSWER, CART_ARGS, raw, start } from './harness.ts';

let dir = '';
const at = (name: string) => join(dir, name);
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), `nlt${process.pid}-tls-`));
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const selfSigned = (name: string, subject: string, ...more: string[]) =>
    openssl('req', '-x509', ...ec, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', subject, ...more);
  selfSigned('ca', '/CN=test ca');
  selfSigned('one', '/CN=one', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  selfSigned('two', '/CN=two', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  selfSigned('stranger', '/CN=stranger');
  openssl('req', ...ec.slice(0, 5), '-keyout', 'client.key', '-out', 'client.csr', '-subj', '/CN=kube-scheduler');
  openssl(
    'x509',
    '-req',
    '-in',
    'client.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    'client.pem',
  );
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface ClientTls {
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

function pair(name: string): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(at(`${name}.pem`)), key: readFileSync(at(`${name}.key`)) };
}

/** One HTTP/2 session, as kube-scheduler keeps it. */
function session(port: number, tls: ClientTls = {}): ClientHttp2Session {
  const client = http2Connect(`https://localhost:${port}`, { rejectUnauthorized: false, ...tls });
  client.setMaxListeners(100).on('error', () => undefined);
  onTestFinished(() => client.destroy());
  return client;
}

function call(
  client: ClientHttp2Session,
  path: string,
  body?: string | Buffer,
): Promise<{ status: number; text: string; length: unknown }> {
  return new Promise((resolve, reject) => {
    const stream = client.request({ ':method': body === undefined ? 'GET' : 'POST', ':path': path });
    let text = '';
    let status = 0;
    let length: unknown;
    stream.on('response', (headers) => {
      status = headers[':status']!;
      length = headers['content-length'];
    });
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    stream.on('end', () => resolve({ status, text, length }));
    stream.on('error', reject);
    client.on('error', reject);
    client.on('close', () => reject(new Error('session closed')));
    stream.end(body);
  });
}

function http1(port: number, tls: ClientTls = {}): Promise<{ status: number; text: string; keepAlive: unknown }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const options = {
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/prioritize',
      rejectUnauthorized: false,
      agent,
      ...tls,
    };
    const sent = request(options, (reply) => {
      let text = '';
      reply.on('data', (chunk: Buffer) => (text += chunk.toString()));
      reply.on('end', () => resolve({ status: reply.statusCode!, text, keepAlive: reply.headers['keep-alive'] }));
    });
    sent.on('error', reject).end(JSON.stringify(CART_ARGS));
  });
}

function servedName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN as string);
      socket.destroy();
    }).on('error', reject);
  });
}

const tls = () => ({ certFile: at('one.pem'), keyFile: at('one.key') });

describe('HTTPS', () => {
  test('HTTP/2 as kube-scheduler speaks it, many calls on one session', async () => {
    const { port, metric } = await start({ tls: tls() });
    const client = session(port);
    for (let i = 0; i < 20; i++) {
      const reply = await call(client, '/prioritize', JSON.stringify(CART_ARGS));
      expect(reply).toEqual({
        status: 200,
        text: JSON.stringify(CART_ANSWER),
        length: String(JSON.stringify(CART_ANSWER).length),
      });
    }
    expect((await call(client, '/livez')).status).toBe(200);
    expect((await call(client, '/prioritize')).status).toBe(405);
    expect((await call(client, '/nowhere', '{}')).status).toBe(404);
    expect((await call(client, '/prioritize', '{')).status).toBe(400);
    expect(await metric('netloom_extender_connections')).toBe(1);
  });

  test('5,000 names and bodies of several MiB over HTTP/2, at the same time', async () => {
    const { port } = await start({ tls: tls() });
    const client = session(port);
    const names = [...CART_ARGS.NodeNames, ...Array.from({ length: 5_000 }, (_, i) => `other-${i}`)];
    const large = JSON.stringify({ ...CART_ARGS, padding: 'x'.repeat(3 * 1024 * 1024) });
    const bodies = [JSON.stringify({ ...CART_ARGS, NodeNames: names }), large, large, JSON.stringify(CART_ARGS)];
    for (const reply of await Promise.all(bodies.map((body) => call(client, '/prioritize', body)))) {
      expect(JSON.parse(reply.text)).toEqual(CART_ANSWER);
    }
  });

  test('over the limit over HTTP/2: 413, and the session goes on', async () => {
    const { port } = await start({ tls: tls(), bodyLimitBytes: 100_000 });
    const client = session(port);
    const reply = await call(client, '/filter', Buffer.alloc(5_000_000, 'x'));
    expect(reply.status).toBe(413);
    expect((await call(client, '/prioritize', JSON.stringify(CART_ARGS))).status).toBe(200);
  });

  test('HTTP/1.1 with keep-alive', async () => {
    const { port } = await start({ tls: tls() });
    expect(await http1(port)).toEqual({ status: 200, text: JSON.stringify(CART_ANSWER), keepAlive: 'timeout=120' });
  });

  test('rubbish instead of TLS is counted, nothing else', async () => {
    const { port, metric } = await start({ tls: tls() });
    await raw(port, 'GET / HTTP/1.1\r\n\r\n', 1_000);
    await expect.poll(() => metric('netloom_extender_connections_closed_total', { reason: 'broken' })).toBe(1);
    expect((await http1(port)).status).toBe(200);
  });

  test('close ends idle HTTP/2 sessions within its grace', async () => {
    const { port, metric } = await start({ tls: tls() });
    const client = session(port);
    await call(client, '/livez');
    expect(await metric('netloom_extender_connections')).toBe(1);
    // The end of this test closes the extender: it would hang on the open session otherwise.
  });
});

describe('client certificates', () => {
  const demanding = () => ({ ...tls(), clientCaFile: at('ca.pem') });

  test('a caller with one of the CA is let in', async () => {
    const { port } = await start({ tls: demanding() });
    expect((await call(session(port, pair('client')), '/prioritize', JSON.stringify(CART_ARGS))).status).toBe(200);
    expect((await http1(port, pair('client'))).status).toBe(200);
  });

  test('without one, or with one of another CA, nothing is answered', async () => {
    const { port } = await start({ tls: demanding() });
    await expect(http1(port)).rejects.toThrow();
    await expect(http1(port, pair('stranger'))).rejects.toThrow();
    await expect(call(session(port), '/livez')).rejects.toThrow();
  });
});

describe('certificates change under way', () => {
  /** cert and key in a folder of their own, as links that are swapped like those of a Kubernetes volume. */
  function volume(name: string) {
    const folder = mkdtempSync(at('volume-'));
    const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
    const put = (target: string, link: string) => {
      symlinkSync(target, `${link}.new`);
      renameSync(`${link}.new`, link);
    };
    put(at(`${name}.pem`), files.certFile);
    put(at(`${name}.key`), files.keyFile);
    return { files, put };
  }

  test('a new pair serves new connections, and old ones go on', async () => {
    const { files, put } = volume('one');
    const { port, metric } = await start({ tls: files, certificatePollMs: 20 });
    const old = session(port);
    expect((await call(old, '/livez')).status).toBe(200);
    expect(await servedName(port)).toBe('one');
    put(at('two.pem'), files.certFile);
    put(at('two.key'), files.keyFile);
    await expect.poll(() => servedName(port), { timeout: 5_000 }).toBe('two');
    expect((await call(old, '/prioritize', JSON.stringify(CART_ARGS))).status).toBe(200);
    expect((await call(session(port), '/livez')).status).toBe(200);
    expect(await metric('netloom_extender_certificate_reloads_total', { result: 'ok' })).toBe(1);
    expect(await metric('netloom_extender_certificate_not_after_seconds')).toBeGreaterThan(Date.now() / 1000);
  });

  test.each(['half of a pair', 'rubbish', 'an empty file', 'a missing file'])(
    '%s leaves the old pair in use, is counted once, and the next good pair is taken',
    async (what) => {
      const { files, put } = volume('one');
      const { port, metric } = await start({ tls: files, certificatePollMs: 20 });
      const bad = at(`bad-${what.replaceAll(' ', '-')}`);
      if (what === 'half of a pair') copyFileSync(at('two.pem'), bad);
      if (what === 'rubbish') writeFileSync(bad, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
      if (what === 'an empty file') writeFileSync(bad, '');
      put(bad, files.certFile);
      const failed = () => metric('netloom_extender_certificate_reloads_total', { result: 'failed' });
      await expect.poll(failed, { timeout: 5_000 }).toBe(1);
      expect(await servedName(port)).toBe('one');
      put(at('two.pem'), files.certFile);
      put(at('two.key'), files.keyFile);
      await expect.poll(() => servedName(port), { timeout: 5_000 }).toBe('two');
    },
  );

  test('a client CA that changes is followed', async () => {
    const ca = at('client-ca.pem');
    copyFileSync(at('stranger.pem'), ca);
    const { port, metric } = await start({ tls: { ...tls(), clientCaFile: ca }, certificatePollMs: 20 });
    await expect(http1(port, pair('client'))).rejects.toThrow();
    copyFileSync(at('ca.pem'), ca);
    await expect.poll(() => metric('netloom_extender_certificate_reloads_total', { result: 'ok' })).toBe(1);
    expect((await http1(port, pair('client'))).status).toBe(200);
  });

  test.each([
    [() => ({ certFile: at('nowhere.pem'), keyFile: at('one.key') }), 'nowhere.pem'],
    [() => ({ certFile: at('one.pem'), keyFile: at('two.key') }), 'one.pem and '],
    [() => ({ ...tls(), clientCaFile: at('one.key') }), 'one.key'],
  ])('files that cannot serve at the start are an error that names them', async (files, place) => {
    await expect(start({ tls: files() })).rejects.toThrowError(
      expect.objectContaining({
        code: 'TLS_UNUSABLE',
        details: expect.objectContaining({ place: expect.stringContaining(place) }),
      }),
    );
  });
});
