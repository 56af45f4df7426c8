// Only this: what is imported statically would be compiled before the cache is on.
import { enableCompileCache } from './compile-cache.ts';

enableCompileCache();
const { runProcess } = await import('./process.ts');
await runProcess();
