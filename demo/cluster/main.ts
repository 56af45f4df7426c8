/** `make demo-cluster`: BINARIES is the folder of the control plane's programs; `--keep` leaves it running. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopped } from '../../cli/stopped.ts';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import { makeFolder, removeDead } from './folder.ts';
import { introductionText, keptText, show, styleOf, type Stdout } from './show.ts';
import { ShopOnPlane } from './shop-on-plane.ts';

const INTERRUPTED = 130;

const [binaries, ...flags] = process.argv.slice(2);
const keep = flags.includes('--keep');
const interrupt = new AbortController();
const folder = join(tmpdir(), `netloom-demo-cluster-${process.pid}`);
const stdout: Stdout = {
  write: (text) => process.stdout.write(text),
  isTty: process.stdout.isTTY,
  columns: process.stdout.columns,
  environment: process.env,
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // The second does not wait; what was started ends with this process.
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort(new NetloomError('DEMO_FAILED', 'the show was interrupted'));
  });
}
// Nobody watches any more: closed output, or a terminal that is gone.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => interrupt.abort(new NetloomError('DEMO_FAILED', 'the output was closed')));
}
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

try {
  process.exitCode = await run(binaries ?? '');
} catch (error) {
  const known =
    error instanceof NetloomError ? error : new NetloomError('DEMO_FAILED', messageOf(error), { cause: error });
  process.stderr.write(`\n${known.describe()}\n`);
  process.exitCode = interrupt.signal.aborted ? INTERRUPTED : 1;
}
process.exit();

async function run(programs: string): Promise<number> {
  await removeDead(tmpdir());
  await makeFolder(folder);
  // Whatever is written on the way is in one place, and goes with it.
  process.env['TMPDIR'] = folder;
  stdout.write(introductionText(styleOf(stdout)));
  stdout.write('Starting the control plane, and Netloom with a kubeconfig of it ...\n');
  const fault = Promise.withResolvers<never>();
  fault.promise.catch(() => undefined);
  interrupt.signal.addEventListener('abort', () => fault.reject(interrupt.signal.reason as Error));
  const onExit = (what: string): void => fault.reject(new NetloomError('DEMO_FAILED', what));
  const shop = await ShopOnPlane.start(programs, folder, onExit, interrupt.signal);
  try {
    await Promise.race([show(shop, stdout), fault.promise]);
    if (keep) {
      stdout.write(keptText(shop, folder));
      await Promise.race([
        stopped(interrupt.signal),
        fault.promise.catch((error: unknown) => {
          if (!interrupt.signal.aborted) throw error;
        }),
      ]);
    }
  } finally {
    await shop.stop();
  }
  rmSync(folder, { recursive: true, force: true });
  stdout.write('Everything of the show has been removed again.\n');
  return 0;
}
