import { spawn, type ChildProcess } from 'node:child_process';
import { connect, type Socket } from 'node:net';

const LISTENER =
  "const s=require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},()=>console.log(s.address().port))";

/**
 * An address of this machine from which nothing comes back: a stopped process with a full accept queue, for which the kernel
 * drops every further SYN (tcp(7), listen(2)). Neither refused nor reset.
 */
export class BlackHole {
  readonly #child: ChildProcess;
  readonly #fillers: Socket[] = [];
  port = 0;

  private constructor() {
    this.#child = spawn(process.execPath, ['-e', LISTENER], { stdio: ['ignore', 'pipe', 'ignore'] });
  }

  static async open(): Promise<BlackHole> {
    const hole = new BlackHole();
    hole.port = await new Promise<number>((resolve) => {
      hole.#child.stdout!.once('data', (text: Buffer) => resolve(Number(text.toString())));
    });
    hole.#child.kill('SIGSTOP');
    // backlog 1 takes two; what is beyond stays in SYN-SENT.
    for (let i = 0; i < 4; i++) hole.#fillers.push(connect(hole.port, '127.0.0.1').on('error', () => undefined));
    await new Promise((resolve) => setTimeout(resolve, 200));
    return hole;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  close(): void {
    for (const socket of this.#fillers) socket.destroy();
    this.#child.kill('SIGKILL');
  }
}
