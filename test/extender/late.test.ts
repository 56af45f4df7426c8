import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { buildView } from '../support/view-fixture.ts';
import { CART_ARGS, post, SHOP, start } from './harness.ts';

const CALLS = 3;

/** Asks, and gives up as Go's client does: the connection is closed, over HTTP/2 the stream is reset. Calls come one by one. */
const IMPATIENT = {
  http: impatientHttp1('http'),
  https: impatientHttp1('https'),
  h2: `
    const { connect } = require('node:http2');
    const [url, body, giveUpMs, calls] = process.argv.slice(1);
    const session = connect(url, { rejectUnauthorized: false });
    session.once('connect', async () => {
      for (let i = 0; i < calls; i++)
        await new Promise((done) => {
          const call = session.request({ ':method': 'POST', ':path': '/prioritize' });
          call.on('error', () => undefined).on('close', done);
          call.end(body, () => setTimeout(() => call.close(8), Number(giveUpMs)));
        });
      session.close();
    });`,
};

function impatientHttp1(scheme: 'http' | 'https'): string {
  return `
    const { request } = require('node:${scheme}');
    const [url, body, giveUpMs, calls] = process.argv.slice(1);
    const headers = { 'content-length': body.length, connection: 'keep-alive' };
    (async () => {
      for (let i = 0; i < calls; i++)
        await new Promise((done) => {
          const call = request(url, { method: 'POST', headers, rejectUnauthorized: false });
          call.on('error', () => undefined).on('close', done);
          call.end(body, () => setTimeout(() => call.destroy(), Number(giveUpMs)));
        });
    })();`;
}

/** Answers take 800 ms of this thread's time, callers wait for 20 ms: on a busy machine some hundreds of them. */
function slowView() {
  const view = buildView(SHOP);
  return () => {
    keepBusy(800);
    return view;
  };
}

function keepBusy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

function certificate(): { certFile: string; keyFile: string } {
  const folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-late-`));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', '-out', certFile, '-subj', '/CN=x'], {
    stdio: 'pipe',
  });
  return { certFile, keyFile };
}

test.each(['http', 'https', 'h2'] as const)(
  'callers that gave up before they were answered are counted and told, with how long it took (%s)',
  async (scheme) => {
    const said: [string, object | undefined][] = [];
    const late: string[] = [];
    const { port, metric, decisions } = await start(scheme === 'http' ? {} : { tls: certificate() }, {
      view: slowView(),
      onLate: (uid) => late.push(uid),
      logger: { ...silentLogger, warn: (text, fields) => said.push([text, fields]) },
    });
    const url = `${scheme === 'http' ? 'http' : 'https'}://127.0.0.1:${port}/prioritize`;
    const args = ['-e', IMPATIENT[scheme], url, JSON.stringify(CART_ARGS), '20', String(CALLS)];
    const startMs = performance.now();
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    await new Promise((resolve) => child.once('exit', resolve));
    await expect.poll(() => metric('netloom_extender_late_total')).toBe(CALLS);
    expect(late).toEqual(decisions.map(({ podUid }) => podUid));
    expect(late).toHaveLength(CALLS);
    const [first, ...others] = said;
    expect(first).toEqual([
      'extender: the caller went away before it was answered',
      { verb: 'prioritize', afterMs: expect.any(Number) },
    ]);
    // One line in ten seconds, in which a machine may be too busy for three calls.
    expect(others.length).toBeLessThanOrEqual((performance.now() - startMs) / 10_000);
    expect((first![1] as { afterMs: number }).afterMs).toBeGreaterThanOrEqual(20);
  },
);

test('who waits for the answer is not taken for gone, whether it keeps the connection or not', async () => {
  const { port, metric } = await start();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  for (let i = 0; i < 20; i++) for (const by of [agent, undefined]) await post(port, '/prioritize', CART_ARGS, by);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await metric('netloom_extender_late_total')).toBe(0);
});

test('who has the whole answer and closes at once, as scripts do, is not taken for gone', async () => {
  const late: string[] = [];
  let answered = 0;
  // Told right behind the answer: when this thread goes on, the end of the connection is there.
  const info = (): void => {
    answered++;
    keepBusy(200);
  };
  const { port, metric } = await start({}, { onLate: (uid) => late.push(uid), logger: { ...silentLogger, info } });
  const body = JSON.stringify(CART_ARGS);
  const hasty = `
    const socket = require('node:net').connect(${port}, '127.0.0.1', () => socket.write(process.argv[1]));
    socket.once('data', () => socket.destroy());`;
  const head = `POST /prioritize HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  const child = spawn(process.execPath, ['-e', hasty, head + body], { stdio: ['ignore', 'ignore', 'inherit'] });
  await new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(answered).toBe(1);
  expect(late).toEqual([]);
  expect(await metric('netloom_extender_late_total')).toBe(0);
});

test('the first call is told once, with who called', async () => {
  const said: [string, object | undefined][] = [];
  const { port } = await start({}, { logger: { ...silentLogger, info: (text, fields) => said.push([text, fields]) } });
  await post(port, '/prioritize', '{');
  expect(said).toEqual([]);
  for (let i = 0; i < 3; i++) await post(port, '/prioritize', CART_ARGS);
  expect(said).toEqual([['called for the first time', { verb: 'prioritize', by: undefined }]]);
});
