// SPDX-License-Identifier: Apache-2.0
// dbos: a workflow of five steps as an application of DBOS runs it, in the process that asks for it: no client is in between, which is the least
// that DBOS can take. The environment names the database (PEERS_DATABASE) and the size of the pool of connections (PEERS_POOL).
import { DBOS } from '@dbos-inc/dbos-sdk';

import { serveLines, STEPS } from './loop.js';

const hello = async (n) => n + 1;

const workflow = DBOS.registerWorkflow(
    async () => {
        let n = 0;
        for (let i = 0; i < STEPS; i++)
            n = await DBOS.runStep(() => hello(n), { name: 'hello' });
        return n;
    },
    { name: 'hello5' },
);

DBOS.setConfig({
    name: 'peers',
    systemDatabaseUrl: process.env.PEERS_DATABASE,
    systemDatabasePoolSize: Number(process.env.PEERS_POOL),
    applicationVersion: '1',
    logLevel: 'error',
});
await DBOS.launch();
await serveLines(() => workflow());
await DBOS.shutdown();
process.exit(0);
