// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: for five minutes, connections that the server closed while they were idle stay in the pool.

import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import okhttp3.ConnectionPool;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

public class Rates {
    static final int IDLE_S = 1;

    // docs: begin
    static OkHttpClient client() {
        return new OkHttpClient.Builder()
            .build();
    }
    // docs: end

    static String rate(OkHttpClient client, Request request, CyclicBarrier peak) throws Exception {
        try (Response response = client.newCall(request).execute()) {
            peak.await();
            return response.body().string();
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        int count = Integer.parseInt(arguments[1]);
        Request request = new Request.Builder().url("http://127.0.0.1:" + arguments[0] + "/rate/").build();
        OkHttpClient client = client();
        ExecutorService workers = Executors.newFixedThreadPool(count);
        CyclicBarrier peak = new CyclicBarrier(count);
        for (int number = 0; number < count; number++) {
            workers.submit(() -> rate(client, request, peak));
        }
        workers.shutdown();
        workers.awaitTermination(30, TimeUnit.SECONDS);
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
