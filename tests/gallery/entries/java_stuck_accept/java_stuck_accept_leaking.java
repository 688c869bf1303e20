// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the workers wait without limit for a back end that is silent, and nobody accepts any more.

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URL;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor.CallerRunsPolicy;
import java.util.concurrent.TimeUnit;

public class Gateway {
    static final int LIMIT_MS = 300;
    // docs: begin
    static int ask(URL backEnd) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) backEnd.openConnection();
        return connection.getResponseCode();
    }
    // docs: end

    static void answer(Socket client, URL backEnd) {
        try (client) {
            client.getInputStream().read(new byte[8192]);
            String head = "HTTP/1.1 " + ask(backEnd) + " Asked\r\nConnection: close\r\n\r\n";
            client.getOutputStream().write(head.getBytes());
        } catch (IOException error) {
            System.out.println(error.getMessage());
        }
    }

    public static void main(String[] arguments) throws IOException {
        ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Executors.newSingleThreadExecutor().submit(() -> hold(silent, Executors.newCachedThreadPool()));
        URL backEnd = new URL("http://127.0.0.1:" + silent.getLocalPort() + "/");
        // Where all are busy, the thread that accepts does the work itself.
        var workers = new ThreadPoolExecutor(4, 4, 0, TimeUnit.SECONDS, new SynchronousQueue<>(), new CallerRunsPolicy());
        ServerSocket server = new ServerSocket(0, 128, InetAddress.getLoopbackAddress());
        System.out.println("port " + server.getLocalPort());
        while (true) {
            Socket client = server.accept();
            workers.execute(() -> answer(client, backEnd));
        }
    }

    static Void hold(ServerSocket silent, ExecutorService each) throws IOException {
        while (true) {
            Socket caller = silent.accept();
            each.submit(() -> { try (caller) { return caller.getInputStream().readAllBytes(); } });
        }
    }
}
