// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: the stream is read and closed on every path, so its connection goes back to the pool.

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

public class Export {
    private final HttpClient client = HttpClient.newHttpClient();

    // docs: begin
    long copy(HttpRequest request) throws IOException, InterruptedException {
        HttpResponse<InputStream> response = client.send(request, BodyHandlers.ofInputStream());
        try (InputStream body = response.body()) {
            if (response.statusCode() != 200) {
                body.transferTo(OutputStream.nullOutputStream()); // else close() ends it
                throw new IOException(request.uri() + ": " + response.statusCode());
            }
            return body.transferTo(System.out);
        }
    }
    // docs: end

    public static void main(String[] arguments) throws InterruptedException {
        Export export = new Export();
        for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
            URI uri = URI.create("http://127.0.0.1:" + arguments[0] + "/export/" + number + "/404");
            try {
                export.copy(HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(30)).build());
            } catch (IOException error) {
                System.out.println(error.getMessage());
            }
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
