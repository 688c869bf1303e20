// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the response of a call that failed is not closed, and neither is its connection.

import java.io.IOException;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

public class Weather {
    private final OkHttpClient client = new OkHttpClient();

    // docs: begin
    String forecast(Request request) throws IOException {
        Response response = client.newCall(request).execute();
        if (!response.isSuccessful()) {
            throw new IOException("unexpected " + response);
        }
        return response.body().string();
    }
    // docs: end

    public static void main(String[] arguments) throws InterruptedException {
        Weather weather = new Weather();
        for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
            String url = "http://127.0.0.1:" + arguments[0] + "/forecast/" + number + "/404";
            try {
                weather.forecast(new Request.Builder().url(url).build());
            } catch (IOException error) {
                System.out.println(error.getMessage());
            }
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
